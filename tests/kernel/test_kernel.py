"""
The suites inside the kernel, as KTAP: the test image (CORRAL_TEST_IMAGE, or what `make MODE=debug ktest-image` builds) on 1,
2, 4 and 8 harts, with either way of shooting down. CORRAL_SEED repeats an order.
"""
import os
import re
import secrets
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
IMAGE = os.environ.get("CORRAL_TEST_IMAGE", os.path.join(ROOT, "build", "virt-debug", "Image-test"))
LIMIT = 180  # seconds for one boot
LINE = re.compile(r"corral: (.*)")
RESULT = re.compile(r"(ok|not ok) (\d+) (\S+)")


def boot(harts, arguments, cpu="rv64", more=(), every_line=False):
    """The machine's exit status and the kernel's lines, or those of a panic, too."""
    command = ["qemu-system-riscv64", "-M", "virt", "-cpu", cpu, "-smp", str(harts), "-m", "256M", "-nographic", "-no-reboot",
               "-kernel", IMAGE, "-append", arguments, *more]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LIMIT, check=False)
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, output = 124, late.stdout or b""
    if every_line:
        return status, [line.rstrip() for line in output.decode(errors="replace").splitlines()]
    return status, [match.group(1).rstrip() for match in LINE.finditer(output.decode(errors="replace"))]


def check(status, lines):
    said = "\n".join(lines)
    assert "KTAP version 1" in lines and status != 124, f"exit status {status}\n{said}"
    plan = next(int(line[3:]) for line in lines if line.startswith("1.."))
    results = [match.groups() for match in map(RESULT.match, lines) if match]
    assert [int(number) for _, number, _ in results] == list(range(1, plan + 1)), said
    assert [name for word, _, name in results if word != "ok"] == [], said
    assert status == 0, f"exit status {status}\n{said}"
    return [name for _, _, name in results]


def seed():
    return os.environ.get("CORRAL_SEED") or str(secrets.randbelow(1 << 31))


@pytest.fixture(autouse=True, scope="module")
def image():
    if not os.path.exists(IMAGE):
        pytest.skip(f"{IMAGE} is not built: make MODE=debug ktest-image")


@pytest.mark.parametrize("tlb", ["ipi", "rfence"])
@pytest.mark.parametrize("harts", [1, 2, 4, 8])
def test_all_suites(harts, tlb):
    names = check(*boot(harts, f"test=all tlb={tlb} seed={seed()}"))
    assert len(names) == len(set(names)) >= 20


def test_one_suite_alone():
    names = check(*boot(2, f"test=alloc. seed={seed()}"))
    assert names and all(name.startswith("alloc.") for name in names)


def has_cpu(cpu, directory):
    """Whether this QEMU can be such a processor: 7.2 knows no Zicboz."""
    dump = directory / "tree.dtb"
    subprocess.run(["qemu-system-riscv64", "-M", f"virt,dumpdtb={dump}", "-cpu", cpu, "-display", "none"],
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
    return dump.exists()


@pytest.mark.parametrize("cpu,arguments,says", [
    ("rv64,v=true", "copy=plain", "copied by loads and stores and cleared by stores"),
    ("rv64,v=true,vlen=128", "copy=vector", "copied by vectors and cleared by vectors"),
    ("rv64,v=true,vlen=1024", "", "copied by vectors and cleared by"),
    ("rv64,zicboz=true", "copy=zicboz", "copied by loads and stores and cleared by cbo.zero"),
    ("rv64,zicboz=true,cboz_blocksize=128", "", "copied by loads and stores and cleared by cbo.zero"),
    ("rv64,zicboz=true,v=true", "", "copied by vectors and cleared by cbo.zero"),
])
def test_ways_to_copy_a_page(cpu, arguments, says, tmp_path):
    if not has_cpu(cpu, tmp_path):
        pytest.skip(f"this QEMU has no -cpu {cpu}")
    status, lines = boot(2, f"test=page. {arguments}", cpu)
    assert check(status, lines) == ["page.whole_pages"]
    assert [line for line in lines if says in line], "\n".join(lines)


@pytest.mark.parametrize("arguments", ["copy=vector", "copy=quickly"])
def test_a_way_to_copy_that_there_is_not(arguments):
    status, lines = boot(1, arguments)
    assert status == 125 and any("boot argument copy=" in line for line in lines), "\n".join(lines)


def test_a_seed_repeats_the_order():
    orders = [check(*boot(1, f"test=sched. seed={given}")) for given in (7, 7, 8, 9)]
    assert orders[0] == orders[1]
    assert len(set(map(tuple, orders))) > 1


def test_waits_that_last_are_reported():
    status, lines = boot(4, f"test=watchdog. seed={seed()}")
    check(status, lines)
    said = "\n".join(lines)
    for wanted in (r"hart 0 has waited \d+ ms for the slab lock at 0x", r"hart 0 has waited \d+ ms for harts 0x2 to answer a shootdown from 0x10000 on",
                   r"hart 1 \(id 1, started\) does not answer interrupts", r"hart 1 \(id 1, started\) answers", r"hart 1: holds, or waits for, locks: slab",
                   r"hart 0 goes on after \d+ ms"):
        assert re.search("watchdog: " + wanted, said), wanted + "\n" + said


def test_the_machine_ends_when_a_wait_does_not():
    status, lines = boot(2, "test=watchdog.dies watchdog=1")
    assert status == 125 and len([line for line in lines if "has waited" in line]) == 3, "\n".join(lines)


def test_a_test_that_stands_still_says_where():
    status, lines = boot(2, "test=watchdog.stands_still limit=1", every_line=True)
    said = "\n".join(lines)
    assert status == 125 and re.search(r"watchdog: hart 1 \(id 1, started\) answers; it is idle$", said, re.M), said
    assert "ktest_barrier" in said and "panic: hart 0: a test stands still: 1 of its threads have not ended" in said, said


@pytest.mark.parametrize("value", ["", "x", "-1", "3601", "99999999999999999999"])
def test_a_bound_that_is_none(value):
    status, lines = boot(1, f"watchdog={value}")
    assert status == 125 and any("boot argument watchdog=" in line for line in lines), "\n".join(lines)


@pytest.mark.parametrize("name,wanted", [
    ("overrun_of_main", r"kernel stack overrun: 0x[0-9a-f]+ is in the guard page below the stack"),
    ("overrun_of_a_thread", r"kernel stack overrun: 0x[0-9a-f]+ is in the guard page below the stack"),
    ("overwrite", r"kernel stack overwritten: the canary of write_too_much\S* has changed")])
def test_stacks_that_are_overrun(name, wanted):
    status, lines = boot(2, f"test=stacks.{name}", every_line=True)
    said = [line for line in lines if line.startswith("panic")]
    assert status == 125 and len(said) == 1 and re.fullmatch(r"panic: hart \d: " + wanted, said[0]), "\n".join(lines)


def test_no_such_suite_is_a_failure():
    status, _ = boot(1, "test=nothing-of-that-name")
    assert status == 1
