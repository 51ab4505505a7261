"""
Allocations that fail: every one of every operation in turn, also where a disk is in it (tests/user/fail_alloc.c), and each n-th of what
programs do that mind no error. Nothing but the program that asked comes to harm, and no frame is lost.
"""
import os
import re
import secrets

import pytest

from tests.system import fat_image

SEED = int(os.environ.get("CORRAL_SEED") or secrets.randbelow(1 << 31))


@fat_image.needs_tools
def test_each_allocation_of_a_disks_file(corral, programs, tmp_path):
    image = fat_image.new(tmp_path / "card.img")
    done = corral(programs / "fail_alloc", "-v", "disk", harts=2, append="audit=on zero=demand", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done
    assert int(re.search(r"disk: (\d+) allocations", done.out)[1]) > 10, done
    assert fat_image.is_clean(image)


@pytest.mark.parametrize("program", ("fuzz_calls", "fuzz_files", "fuzz_sockets", "fork_storm"))
def test_some_allocations_of_all(corral, programs, program):
    """Whatever becomes of the program: the machine ends as it should."""
    nth = 20 + SEED % 500
    done = corral(programs / program, *([str(SEED)] if program.startswith("fuzz") else []), harts=4, append=f"audit=on fail={nth}")
    assert "audit: ok" in done.log and done.status != 125, (SEED, done)


@pytest.mark.parametrize("value", ("", "x", "1@", "1@nowhere", "9999999999", "1+1"))
def test_wrong_ones_are_told_of(corral, programs, value):
    done = corral(programs / "die", "return", append=f"fail={value}")
    assert done.status == 125 and f"boot argument fail={value}: must be N" in done.err + done.log and "panic" not in done.log, done
