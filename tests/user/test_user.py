"""
Runs the programs of this folder, one boot each, on the debug kernel with the audit after the last process: a violation
of what is true at all times, a panic or a hang fails the test, whatever the program thought of it.

CORRAL_USER_ON=emulation runs them under qemu-riscv64 instead, on the Linux of this machine: whether the tests are right.
CORRAL_SEED repeats the random ones.
"""
import os
import pathlib
import secrets
import struct
import subprocess

import pytest

from cases import CASES, FEW

HERE = pathlib.Path(__file__).resolve().parent
EMULATION = os.environ.get("CORRAL_USER_ON") == "emulation"
DEFAULT_LIMIT = 60  # seconds, of which a boot takes one


def runs():
    for name, case in CASES.items():
        for harts in case.get("harts", FEW)[:1 if EMULATION else None]:
            yield pytest.param(name, harts, id=f"{name}-{harts}")


def broken_executables(directory, good):
    """Variants of a good executable; the name says how execve must refuse it ("late": or what is run ends by a signal)."""
    image = good.read_bytes()
    first = struct.unpack_from("<Q", image, 32)[0]
    headers = [first + i * 56 for i in range(struct.unpack_from("<H", image, 56)[0])]
    load = next(at for at in headers if struct.unpack_from("<I", image, at)[0] == 1)

    def patched(at, form, value):
        copy = bytearray(image)
        struct.pack_into(form, copy, at, value)
        return bytes(copy)

    variants = {
        "noexec-empty": b"",
        "noexec-text": b"hello, this is no program\n" * 20,
        "noexec-short": image[:40],
        "noexec-magic": patched(0, "<B", 0x7E),
        "noexec-class32": patched(4, "<B", 1),
        "noexec-machine": patched(18, "<H", 62),
        "noexec-relocatable": patched(16, "<H", 1),
        "noexec-phentsize": patched(54, "<H", 32),
        "late-no-headers": patched(56, "<H", 0),
        "late-headers-beyond": patched(32, "<Q", 1 << 40),
        "late-truncated": image[:5000],
        "late-kernel-address": patched(load + 16, "<Q", 0xFFFFFFC080200000),
        "late-first-page": patched(load + 16, "<Q", 0),
        "late-huge": patched(load + 40, "<Q", 1 << 62),
        "late-file-larger": patched(load + 32, "<Q", 1 << 40),
        "late-offset-beyond": patched(load + 8, "<Q", 1 << 40),
        "late-entry-kernel": patched(24, "<Q", 0xFFFFFFC080200000),
        "late-entry-nowhere": patched(24, "<Q", 16),
        "noaccess-mode": image,
    }
    for name, data in variants.items():
        path = directory / name
        path.write_bytes(data)
        path.chmod(0o644 if name.startswith("noaccess") else 0o755)
    return sorted(variants)


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
                         timeout=case.get("limit", DEFAULT_LIMIT), append="audit=on " + case.get("append", ""),
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
