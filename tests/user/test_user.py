"""
Runs the programs of this folder, one boot each, on the debug kernel with the audit after the last process: a violation
of what is true at all times, a panic or a hang fails the test, whatever the program thought of it.

CORRAL_USER_ON=emulation runs them under qemu-riscv64 instead, on the Linux of this machine: whether the tests are right.
CORRAL_SEED repeats the random ones. CORRAL_APPEND: more boot arguments (fork=all).
"""
import os
import pathlib
import secrets
import subprocess

import pytest

from broken import broken_executables
from cases import CASES, FEW

HERE = pathlib.Path(__file__).resolve().parent
EMULATION = os.environ.get("CORRAL_USER_ON") == "emulation"
DEFAULT_LIMIT = 60  # seconds, of which a boot takes one


def runs():
    for name, case in CASES.items():
        for harts in case.get("harts", FEW)[:1 if EMULATION else None]:
            yield pytest.param(name, harts, id=f"{name}-{harts}")


def arguments(case, directory, program):
    args = list(case.get("args", []))
    if case.get("seeded"):
        args.insert(0, os.environ.get("CORRAL_SEED") or str(secrets.randbelow(1 << 31)))
    if case.get("files"):
        args += ["/broken/" + name for name in broken_executables(directory, program)]
    return args


def emulated(case, program, args):
    if "emulation" in case:
        pytest.skip(case["emulation"])
    done = subprocess.run(["qemu-riscv64", str(program), *args], input=case.get("stdin", ""), capture_output=True,
                          text=True, timeout=case.get("limit", DEFAULT_LIMIT), check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name,harts", runs())
def test_program(name, harts, corral, programs, tmp_path):
    case = CASES[name]
    program = programs / case.get("program", name)
    broken = tmp_path / "broken"
    broken.mkdir()
    args = arguments(case, broken, program)
    if EMULATION:
        status, out, err = emulated(case, program, args)
        outcome = f"status {status}\n{out}\n{err}"
    else:
        outcome = corral(program, *args, harts=harts, mem=case.get("mem", "256M"),
                         timeout=case.get("limit", DEFAULT_LIMIT), append=f"audit=on {case.get('append', '')} {os.environ.get('CORRAL_APPEND', '')}",
                         files=[f"{broken}:/broken"] if case.get("files") else [], stdin=case.get("stdin"),
                         options=["--qemu-args", case["qemu"]] if "qemu" in case else [])
        status, out, err = outcome.status, outcome.out, outcome.err
    expected = case.get("status", 0)
    good = status == expected and (expected != 0 or (out == case["out"] if "out" in case else out.endswith("ok\n")))
    if not good or (err and expected == 0):
        pytest.fail(f"{name} on {harts} harts, expected status {expected}, args {args}\n{outcome!r}"[:12000],
                    pytrace=False)


def test_every_program_has_its_case():
    sources = {path.stem for path in HERE.glob("*.c")}
    assert sources == {case.get("program", name) for name, case in CASES.items()}
