"""The benchmark's parts for files: all are there, measure, and find their data right."""
import re

import pytest

NAMES = ("file_shared_fault", "file_private_cow", "file_read_cached", "clone_object/MiB:0", "clone_object/MiB:1", "clone_object_break",
         "msync/pages:1", "msync/pages:512", "shared_pingpong/harts:2")


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_files(corral, harts):
    done = corral("bench", "--quick", "--filter=^(file_|clone_object|msync|shared_pingpong)", harts=harts,
                  append="audit=on ramdisk=16M BENCH_DISK=/dev/ram0", timeout=120)
    assert done.status == 0 and "audit: ok" in done.log, done
    measured = set(re.findall(r"^(\S+) +[0-9.]+ ", done.out, re.M))
    expected = set(NAMES) - ({"shared_pingpong/harts:2"} if harts == 1 else set())
    assert expected <= measured, (expected - measured, done)
