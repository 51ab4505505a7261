# shellcheck shell=sh
# Sourced by what fetches from the Debian archive (scripts/setup, scripts/fetch), with $root set. Through an apt state of
# its own under build/debian, so that the machine's own lists and packages stay as they are: apt verifies the index by the
# installed archive keyring, and each file by the hash that the index gives.

debian_dir=${root:?}/build/debian
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The archive that this machine's own Debian release comes from, as apt is configured; also where it has no lists yet.
debian_archive() {
	# shellcheck disable=SC1091
	debian_codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	apt-get update --print-uris 2>/dev/null | sed -n "s|^'\(.*\)/dists/$debian_codename/InRelease'.*|\1|p" | head -n 1
}

# debian_apt TOOL ARG...: an apt tool in our own state.
debian_apt() {
	debian_tool=$1
	shift
	"$debian_tool" -q -o Dir::Etc::SourceList="$debian_apt_dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State::Lists="$debian_apt_dir/lists" -o Dir::Cache="$debian_apt_dir/cache" \
		-o APT::Architecture="$debian_machine" -o APT::Architectures="$debian_machine" \
		-o Acquire::Languages=none -o Acquire::AllowInsecureRepositories=false \
		-o Acquire::AllowDowngradeToInsecureRepositories=false -o APT::Get::AllowUnauthenticated=false \
		-o Dir::State::status=/dev/null -o APT::Sandbox::User=root "$@"
}

# debian_use KIND RELEASE [MACHINE]: from here on one release's packages (KIND deb) or sources (deb-src), as the archive has
# them now; for riscv64, or another architecture.
debian_use() {
	[ -r "$debian_keyring" ] || { echo "needs $debian_keyring (package debian-archive-keyring)" >&2; return 1; }
	debian_machine=${3:-riscv64}
	debian_apt_dir=$debian_dir/apt-$1-$2${3:+-$3}
	debian_uri=$(debian_archive)
	[ -n "$debian_uri" ] || { echo "finds no Debian archive among apt's configured sources" >&2; return 1; }
	mkdir -p "$debian_apt_dir/lists/partial" "$debian_apt_dir/cache/archives/partial"
	echo "$1 [signed-by=$debian_keyring] $debian_uri $2 main" >"$debian_apt_dir/sources.list"
	debian_apt apt-get update >&2
}

# debian_source NAME: downloads a source package's upstream tarball, verified, and prints its path. Only the tarball: some
# .dsc files are missing from mirrors, so it is checked here against the hash in the signed index.
debian_source() {
	debian_line=$(debian_apt apt-get source --only-source --print-uris --tar-only "$1" 2>/dev/null | grep "SHA256:") || return 1
	debian_name=$(echo "$debian_line" | awk '{ print $2 }')
	debian_hash=$(echo "$debian_line" | sed -n 's/.*SHA256:\([0-9a-f]\{64\}\).*/\1/p')
	[ -n "$debian_name" ] && [ -n "$debian_hash" ] || return 1
	(cd "$debian_apt_dir" && debian_apt apt-get source --only-source --download-only --tar-only "$1" >&2) || return 1
	echo "$debian_hash  $debian_apt_dir/$debian_name" | sha256sum --check --quiet >&2 || return 1
	echo "$debian_apt_dir/$debian_name"
}

# debian_newest REGEX: of the packages with such names, the one with the highest version in its name.
debian_newest() {
	debian_apt apt-cache pkgnames | grep -E -x "$1" | sort -V | tail -n 1
}

# debian_deb NAME: downloads a binary package and prints its path.
debian_deb() {
	rm -f "$debian_apt_dir/$1"_*.deb
	(cd "$debian_apt_dir" && debian_apt apt-get download "$1" >&2) || return 1
	ls "$debian_apt_dir/$1"_*.deb
}

# debian_debs NAME: downloads a binary package and all that it depends on, as if nothing were installed, and prints the paths.
debian_debs() {
	rm -f "$debian_apt_dir"/cache/archives/*.deb
	debian_apt apt-get install --yes --no-install-recommends --download-only "$1" >&2 || return 1
	ls "$debian_apt_dir"/cache/archives/*.deb
}
