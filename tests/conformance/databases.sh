#!/bin/busybox sh
# Databases whose processes share mappings of one file: databases.sh DIRECTORY. Prints TAP.
n=0
b=/bin/busybox
d=$1/databases.$$
loader=/lib/ld-linux-riscv64-lp64d.so.1
check() { # NAME WANTED GOT
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n $1"; else echo "not ok $n $1"; echo "# wanted '$2', got '$3'"; fi
}
run() { # PROGRAM ARGUMENT...
	program=/bin/$1
	shift
	$loader --library-path /lib "$program" "$@" 2>&1
}
sql() { # DATABASE STATEMENTS
	run sqlite3 -batch -cmd ".timeout 60000" "$d/$1" "$2"
}
$b chmod 755 $loader
$b mkdir "$d" || exit 1

for mode in delete truncate persist wal; do
	check "sqlite, $mode: made" "$mode" "$(sql $mode "PRAGMA journal_mode=$mode; CREATE TABLE t(k INTEGER PRIMARY KEY, v TEXT);")"
	check "sqlite, $mode: filled" "500|124750" "$(sql $mode "WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c
		WHERE x < 499) INSERT INTO t SELECT x, hex(zeroblob(100)) || x FROM c; SELECT count(*), sum(k) FROM t;")"
	check "sqlite, $mode: rolled back" "500" "$(sql $mode "BEGIN; DELETE FROM t; ROLLBACK; SELECT count(*) FROM t;")"
	check "sqlite, $mode: mapped" "500" "$(sql $mode "PRAGMA mmap_size=16777216; UPDATE t SET v = v || 'x';
		SELECT count(*) FROM t WHERE v LIKE '%x';" | $b tail -n 1)"
	for writer in 1 2 3; do
		sql $mode "INSERT INTO t SELECT $writer * 1000 + k, v FROM t WHERE k < 100; UPDATE t SET v = '$writer' WHERE k = 0;" &
	done
	wait
	check "sqlite, $mode: three at once" "800" "$(sql $mode "SELECT count(*) FROM t;")"
	check "sqlite, $mode: vacuum" "600" "$(sql $mode "DELETE FROM t WHERE k BETWEEN 100 AND 299; VACUUM; SELECT count(*) FROM t;")"
	check "sqlite, $mode: sound" "ok" "$(sql $mode "PRAGMA integrity_check;")"
done

records() { # FIRST LAST
	$b seq $1 $2 | $b awk '{ printf "key%06d\nvalue %d %0200d\n", $1, $1 * 7, $1 }'
}
records 1 400 >"$d/records"
check "lmdb: loaded" "" "$(run mdb_load -n -T -f "$d/records" "$d/lmdb")"
check "lmdb: counted" "400" "$(run mdb_stat -n "$d/lmdb" | $b awk '/Entries/ { print $2 }')"
for part in 1 2 3; do
	records $((part * 1000)) $((part * 1000 + 99)) >"$d/records$part"
	run mdb_load -n -T -f "$d/records$part" "$d/lmdb"
done
check "lmdb: added to" "700" "$(run mdb_stat -n "$d/lmdb" | $b awk '/Entries/ { print $2 }')"
check "lmdb: read back" "$($b cat "$d/records" "$d/records1" "$d/records2" "$d/records3" | $b sha256sum)" \
	"$(run mdb_dump -n -p "$d/lmdb" | $b sed -n 's/^ //p' | $b sha256sum)"

run tdbtool "$d/tdb" create "$d/tdb" >/dev/null
for key in $($b seq 1 60); do
	run tdbtool "$d/tdb" store "key$key" "value$key" >/dev/null
done
check "tdb: read back" "60" "$(run tdbdump "$d/tdb" | $b grep -c '^key(')"
check "tdb: a backup" "60" "$(run tdbbackup.tdbtools "$d/tdb" >/dev/null; run tdbdump "$d/tdb.bak" | $b grep -c '^key(')"
check "removed" "" "$($b rm -r "$d" 2>&1; $b ls -d "$d" 2>/dev/null)"
echo "1..$n"
