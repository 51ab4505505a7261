"""
libFuzzer on the parsers, from one seed, a few seconds each, or CORRAL_FUZZ: that it builds, runs and finds nothing at once. Longer, and from any seed:
make fuzz.
"""
import os
import shutil
import subprocess

import pytest

from tests.conftest import BUILD, ROOT

SECONDS = int(os.environ.get("CORRAL_FUZZ", "5"))


@pytest.mark.skipif(not shutil.which("clang"), reason="needs clang")
@pytest.mark.parametrize("name", ["elf", "gpt", "fat", "cpio", "args", "tree"])
def test_parser(name):
    program = BUILD / "fuzz" / f"fuzz_{name}"
    corpus = BUILD / "fuzz" / f"corpus_{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["make", "--no-print-directory", f"O={BUILD}", str(program)], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    done = subprocess.run([program, f"-max_total_time={SECONDS}", "-seed=1", "-max_len=16384", "-len_control=0", "-timeout=20", "-verbosity=0",
                           f"-artifact_prefix={BUILD}/fuzz/{name}-", corpus], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=SECONDS + 120, check=False, env=dict(os.environ, FUZZ_CORPUS=str(corpus)))
    assert done.returncode == 0, done.stderr[-3000:]
