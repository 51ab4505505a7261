"""The benchmark's parts for files: all are there, measure, and find their data right."""
import re
import subprocess

import pytest

from tests.conftest import BUILD, ROOT

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


def test_ktap(corral):
    """A line for each benchmark as it is done, with its number; why there is none, where there is none."""
    done = corral("bench", "--quick", "--format=ktap", "--filter=null_syscall|cow_copy|fork_call/MiB:256", "--max-mib=256", harts=1, mem="128M")
    assert done.status == 0 and done.out.startswith("KTAP version 1\n1..3\nok 1 null_syscall # "), done
    lines = done.out.splitlines()
    assert re.fullmatch(r"ok 2 cow_copy # [\d.]+ ns/page, [\d.]+ to [\d.]+", lines[3]), done
    assert re.fullmatch(r"ok 3 fork_call/MiB:256 # SKIP .+", lines[4]) and lines[5].startswith("name "), done
    assert done.err == "", done
    done = corral("bench", "--quick", "--format=ktap", "--filter=msync/pages:1", harts=1, append="BENCH_DISK=/none")
    assert done.status == 1 and re.search(r"^not ok 1 msync/pages:1 # FAIL .+", done.out, re.M), done


@pytest.mark.parametrize("words, harts", (("", 4), ("ICOUNT=1", 1), ("ICOUNT=1 HARTS=2", 2)))
def test_make_counts_instructions_on_one_hart(words, harts):
    """Unless it is asked for more, which takes hours."""
    done = subprocess.run(["make", "-n", "bench", "CORRAL_SETUP_DONE=1", f"O={BUILD}", *words.split()], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=False)
    assert f"--harts {harts} " in done.stdout and ("--icount" in done.stdout) == ("ICOUNT" in words), done
