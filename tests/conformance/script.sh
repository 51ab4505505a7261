#!/bin/busybox sh
# What a shell script asks of a system, under busybox, which is all that is there. Prints TAP.
n=0
b=/bin/busybox
check() { # NAME WANTED GOT
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n $1"; else echo "not ok $n $1"; echo "# wanted '$2', got '$3'"; fi
}
d=/tmp/conformance.$$
$b mkdir -p $d/a/b || exit 1
cd $d || exit 1

check "command substitution" "hello" "$($b echo hello)"
check "pipe" "3" "$($b printf 'a\nb\nc\n' | $b wc -l | $b tr -d ' ')"
check "pipe of five" "2" "$($b seq 1 100 | $b grep 5 | $b sort -r | $b head -n 2 | $b wc -l | $b tr -d ' ')"
check "large pipe" "1048576" "$($b dd if=/dev/zero bs=4096 count=256 2>/dev/null | $b wc -c | $b tr -d ' ')"
check "pipe to one that ends early" "y" "$($b yes | $b head -n 1)"
check "subshell's status" "7" "$( (exit 7); echo $?)"
check "status of a killed child" "137" "$( ($b sh -c 'kill -9 $$') 2>/dev/null; echo $?)"
check "background and wait" "0" "$($b sleep 0.1 & wait $!; echo $?)"
check "kill in the background" "143" "$( ($b sleep 60 & p=$!; kill $p; wait $p; echo $?) 2>/dev/null)"
check "trap" "caught" "$($b sh -c 'trap "echo caught" USR1; kill -USR1 $$; :')"
check "exit trap" "bye" "$($b sh -c 'trap "echo bye" EXIT; exit 0')"
check "here document" "one two" "$($b cat <<EOF
one two
EOF
)"
check "redirection" "text" "$(echo text >f; $b cat f)"
check "append" "2" "$(echo a >g; echo b >>g; $b wc -l <g | $b tr -d ' ')"
check "read" "first" "$(printf 'first\nsecond\n' | { read -r line; echo "$line"; })"
check "links" "text" "$($b ln f h && $b rm f && $b cat h)"
check "symbolic links" "text" "$($b ln -s h s && $b cat s)"
check "readlink" "h" "$($b readlink s)"
check "rename" "text" "$($b mv h i && $b cat i)"
check "rename over" "text" "$(echo old >j; $b mv i j && $b cat j)"
check "ls" "a g j s" "$($b ls | $b tr '\n' ' ' | $b sed 's/ $//')"
check "find" "./a ./a/b" "$($b find . -type d -name '[ab]' | $b sort | $b tr '\n' ' ' | $b sed 's/ $//')"
check "rmdir of a full one" "1" "$($b rmdir a 2>/dev/null; echo $?)"
check "truncate" "10" "$($b truncate -s 10 g && $b stat -c %s g)"
check "mode" "640" "$($b chmod 640 j && $b stat -c %a j)"
check "umask" "600" "$(umask 077; : >u; $b stat -c %a u)"
check "test -x" "1" "$([ -x j ]; echo $?)"
check "copy" "0" "$($b cp $b copy && $b cmp $b copy; echo $?)"
check "run a copy" "hi" "$($b mkdir bin && $b cp copy bin/busybox && bin/busybox echo hi)"
check "script with #!" "script one" "$(printf '#!/bin/busybox sh\necho script "$1"\n' >x; $b chmod 755 x; ./x one)"
check "not executable" "126" "$( (./j) 2>/dev/null; echo $?)"
check "not there" "127" "$( (./none) 2>/dev/null; echo $?)"
check "sha256sum" "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" \
	"$($b sha256sum </dev/null | $b cut -d ' ' -f 1)"
check "tar" "text" "$($b tar -cf t.tar a j && $b mkdir n && $b tar -xf t.tar -C n && $b cat n/j 2>/dev/null || $b cat n/j)"
check "gzip" "0" "$($b gzip -c copy | $b gunzip -c | $b cmp - copy; echo $?)"
check "awk" "5050" "$($b seq 1 100 | $b awk '{ s += $1 } END { print s }')"
check "sort of much" "1" "$($b seq 20000 -1 1 | $b sort -n | $b head -n 1)"
check "xargs" "1 2 3" "$($b seq 1 3 | $b xargs $b echo)"
check "long argument list" "5000" "$($b seq 1 5000 | $b xargs $b echo | $b wc -w | $b tr -d ' ')"
check "environment" "value" "$(NAME=value $b sh -c 'echo $NAME')"
check "ulimit -n" "64" "$(ulimit -n 64; ulimit -n)"
check "/dev/null" "0" "$($b wc -c </dev/null | $b tr -d ' ')"
check "/dev/full" "1" "$( (echo x >/dev/full) 2>/dev/null; echo $?)"
check "/proc/self/maps" "yes" "$($b grep -q '\[stack\]' /proc/self/maps && echo yes)"
check "/proc/self/status" "yes" "$($b grep -q '^VmRSS:' /proc/self/status && echo yes)"
check "/proc/meminfo" "yes" "$($b grep -q '^MemTotal:' /proc/meminfo && echo yes)"
check "/proc/PID/cmdline" "sh" "$($b tr '\0' '\n' </proc/$$/cmdline | $b sed -n 2p)"
check "ps" "yes" "$($b ps | $b grep -q script.sh && echo yes)"
check "fifo" "through" "$($b mkfifo p && { echo through >p & $b cat p; })"
check "timeout" "143" "$($b timeout 1 $b sleep 60; echo $?)"
check "uname" "Linux" "$($b uname -s)"
check "pwd" "$d" "$($b pwd)"
check "cd and back" "$d" "$(cd a/b && cd ../.. && pwd -P)"
check "rm -r" "1" "$(cd /; $b rm -r $d; [ -e $d ]; echo $?)"
echo "1..$n"
