"""Shared by all system and user tests: running programs on Corral."""
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))  # for corral_lib
BUILD = pathlib.Path(os.environ.get("CORRAL_BUILD", ROOT / "build")).resolve()
CORRAL = ROOT / "scripts" / "corral"
KERNEL = pathlib.Path(os.environ.get("CORRAL_KERNEL", BUILD / "virt-debug" / "Image"))
OPTIONS = shlex.split(os.environ.get("CORRAL_OPTIONS", ""))  # another machine or firmware: make chains
LONG = pytest.mark.skipif(not os.environ.get("CORRAL_LONG"), reason="the long form: make chains")
SLOW = int(os.environ.get("CORRAL_SLOW", "1"))  # how many times as long a run may take: a machine that is busy
MOST_HARTS = 4 if "sifive_u" in OPTIONS else 8

# A shell has what it starts in the background ignore Ctrl-C, and so would all that tests start and send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Outcome:
    """What one run left: exit status, output, and the kernel's messages."""

    def __init__(self, status, out, err, log):
        self.status, self.out, self.err, self.log = status, out, err, log

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}\n--- kernel\n{self.log[-4000:]}"


@pytest.fixture
def corral(tmp_path):
    """corral(program, *args, harts=, mem=, timeout=, append=, files=, stdin=, options=) -> Outcome, of the debug kernel."""
    runs = 0

    def run(program, *args, harts=2, mem="256M", timeout=60, append="", files=(), stdin=None, options=(), text=True):
        nonlocal runs
        runs += 1
        log = tmp_path / f"kernel-{runs}.log"
        command = [str(CORRAL), "run", "--build", str(BUILD), "--kernel", str(KERNEL), "--harts", str(min(harts, MOST_HARTS)),
                   "--mem", mem, "--timeout", str(timeout * SLOW), "--log", str(log)]
        command += OPTIONS
        command += ["--append", append] if append else []
        for spec in files:
            command += ["--file", str(spec)]
        command += [*options, "--", str(program), *args]
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        print("$", shlex.join(command))
        done = subprocess.run(command, capture_output=True, timeout=timeout + 60, check=False, text=text,
                              errors="replace" if text else None, **given)
        return Outcome(done.returncode, done.stdout, done.stderr,
                       log.read_text(errors="replace") if log.exists() else "")
    return run


@pytest.fixture(scope="session")
def programs():
    """Where the programs of tests/user are: programs / "name"."""
    return BUILD / "user" / "tests"
