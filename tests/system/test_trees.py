"""
Device trees as they come: what is missing or wrong in one is said in one line, on whatever console there is, and what can go on
goes on; trees anywhere in memory; harts, errata and GPIO lines as a tree names them.
"""
import re
import subprocess

import pytest

from tests.conftest import ROOT
from tests.system import trees
from tests.system.trees import with_property, without

RUNS = "harts {} memory"


def named(pattern, replacement=""):
    return lambda text: re.sub(pattern, replacement, text, count=1, flags=re.S)


def every(pattern, replacement=""):
    return lambda text: re.sub(pattern, replacement, text, flags=re.M)


def prop(node, line):
    return lambda text: with_property(text, node, line)


def reserved(line):
    node = (f"\treserved-memory {{\n\t\t#address-cells = <2>;\n\t\t#size-cells = <2>;\n\t\tranges;\n"
            f"\t\ttaken@0 {{\n\t\t\t{line}\n\t\t\tno-map;\n\t\t}};\n\t}};\n")
    return lambda text: text.replace("\tchosen {", node + "\tchosen {", 1)


MEMORY, UART = "memory@80000000", "serial@10000000"
ODD = {
    "no-memory": (lambda text: without(text, MEMORY), 125, "cannot start: device tree: no memory\n"),
    "memory-cut": (prop(MEMORY, "reg = <0 0x80000000 0>;"), 125, "cannot start: device tree: no memory\n"),
    "memory-empty": (prop(MEMORY, "reg = <0 0x80000000 0 0>;"), 125, "no memory where the kernel is, 0x80200000 to"),
    "memory-elsewhere": (prop(MEMORY, "reg = <0 0x90000000 0 0x8000000>;"), 125, "no memory where the kernel is"),
    "memory-uneven": (prop(MEMORY, "reg = <0 0x80000123 0 0xff00321>;"), 0, RUNS.format(2)),
    "memory-more": (prop(MEMORY, "reg = <0 0x80000000 0 0x20000000>;"), 125, "no memory at 0x90000000, where it says that there is some"),
    "memory-less-by-a-page": (prop(MEMORY, "reg = <0 0x80000000 0 0x10001000>;"), 125, "no memory at 0x90000"),
    "memory-huge": (prop(MEMORY, "reg = <0 0x80000000 0x100 0>;"), 125, "no memory at 0x90000000"),
    "memory-wraps": (prop(MEMORY, "reg = <0 0x80000000 0xffffffff 0xffffffff>;"), 125, "memory@80000000: bad reg"),
    "memory-twice": (prop(MEMORY, "reg = <0 0x80000000 0 0x10000000 0 0x84000000 0 0x8000000>;"), 0, RUNS.format(2)),
    "bank-of-nothing": (prop(MEMORY, "reg = <0 0x80000000 0 0x10000000 2 0 0 0x40000000>;"), 125, "no memory at 0x200000000"),
    "bank-small": (prop(MEMORY, "reg = <0 0x80000000 0 0x10000000 2 0 0 0x1000>;"), 125, "no memory at 0x200000000"),
    "bank-of-rom": (prop(MEMORY, "reg = <0 0x80000000 0 0x10000000 0 0x1000 0 0xf000>;"), 125, "no memory at 0xfff8"),
    "bank-of-flash": (prop(MEMORY, "reg = <0 0x80000000 0 0x10000000 0 0x20000000 0 0x2000000>;"), 125, "no memory at 0x21fffff8"),
    "bank-of-registers": (prop(MEMORY, "reg = <0 0x80000000 0 0x10000000 0 0xc000000 0 0x4000000>;"), 125, "no memory at 0xc0"),
    "memory-without-tree": (prop(MEMORY, "reg = <0 0x80000000 0 0xa000000>;"), 125, "tree at 0x8a000000: it says that there is no memory there"),
    "memory-without-initrd": (prop(MEMORY, "reg = <0 0x80000000 0 0x8000000 0 0x8a000000 0 0x1000000>;"), 125, "is not in memory"),
    "tree-not-mapped": (reserved("reg = <0 0x8a000000 0 0x10000>;"), 125, "none that may be mapped"),
    "initrd-not-mapped": (reserved("reg = <0 0x88000000 0 0x1000>;"), 125, "is not in memory"),
    "kernel-not-mapped": (reserved("reg = <0 0x80200000 0 0x200000>;"), 0, RUNS.format(2)),
    "reserved-all": (reserved("reg = <0 0x80000000 0 0x10000000>;"), 125, "device tree: no free memory"),
    "reserved-wraps": (reserved("reg = <0 0x80000000 0xffffffff 0xffffffff>;"), 125, "taken@0: bad reg"),
    "reserved-elsewhere": (reserved("reg = <9 0 1 0>;"), 0, RUNS.format(2)),
    "no-uart": (lambda text: without(text, UART), 0, "no driver for the console's UART: the firmware's console, without input"),
    "no-stdout": (every(r"^\t+stdout-path.*\n"), 0, "no driver for the console's UART"),
    "stdout-circle": (lambda text: prop("chosen", 'stdout-path = "one:115200";')(
        text.replace("\tchosen {", '\taliases {\n\t\tone = "two";\n\t\ttwo = "one";\n\t};\n\n\tchosen {')), 0, "no driver for the console's UART"),
    "uart-unknown": (prop(UART, 'compatible = "acme,uart";'), 0, "no driver for the console's UART"),
    "uart-no-interrupt": (named(rf"({UART} .*?)\t+interrupts = .*?\n", r"\1"), 0, "the console's UART has no interrupt: no input"),
    "no-timer": (every(r"^\t+timebase-frequency.*\n"), 125, "no timer: /cpus has no timebase-frequency"),
    "timer-0": (prop("cpus", "timebase-frequency = <0>;"), 125, "no timer: /cpus has no timebase-frequency"),
    "timer-of-nonsense": (prop("cpus", "timebase-frequency = <0xffffffff 0xffffffff>;"), 125, "no timer counts at 18446744073709551615 Hz"),
    "uart-in-the-kernel": (prop(UART, "reg = <0 0x80201000 0 0x100>;"), 0, "no driver for the console's UART"),
    "uart-wide-apart": (prop(UART, "reg-shift = <20>;"), 0, "no driver for the console's UART"),
    "uart-of-nothing": (prop(UART, "reg = <0 0x1f000000 0 0x100>;"), 0, "nothing answers at 0x1f000000, where it says that there are registers"),
    "plic-of-nothing": (prop("plic@c000000", "reg = <0 0x1e000000 0 0x600000>;"), 0, "nothing answers at 0x1e000000, where it says"),
    "disk-of-nothing": (prop("virtio_mmio@10001000", "reg = <0 0x1f000000 0 0x1000>;"), 0, "nothing answers at 0x1f000000, where it says"),
    "power-of-nothing": (prop("test@100000", "reg = <0 0x1f000000 0 0x1000>;"), 0, "nothing answers at 0x1f000000, where it says"),
    "plic-small": (prop("plic@c000000", "reg = <0 0xc000000 0 0x1000>;"), 0, "the console's UART has no interrupt: no input"),
    "plic-in-memory": (prop("plic@c000000", "reg = <0 0x80400000 0 0x600000>;"), 0, "no PLIC: no interrupts from devices"),
    "no-plic": (lambda text: without(text, "plic@c000000"), 0, "no PLIC: no interrupts from devices"),
    "plic-of-nobody": (named(r"(plic@c000000 .*?interrupts-extended = <).*?>", r"\1 0x99 9 0x98 11 0x97>"), 0,
                       "the console's UART has no interrupt: no input"),
    "no-cpus": (lambda text: without(text, "cpus"), 125, "no timer"),
    "no-s-mode": (every(r"^\t+mmu-type.*\n"), 125, "no hart with S-mode (an enabled cpu node with an mmu-type)"),
    "sv32": (every('mmu-type = .*;', 'mmu-type = "riscv,sv32";'), 125, "no hart with S-mode"),
    "all-disabled": (every('status = "okay";', 'status = "disabled";'), 125, "no hart with S-mode"),
    "no-boot-hart": (lambda text: prop("cpu@0", "reg = <8>;")(prop("cpu@1", "reg = <9>;")(text)), 125,
                     "is not among the usable ones"),
    "initrd-outside": (every("linux,initrd-end = .*;", "linux,initrd-end = <0xf0000000>;"), 125, "is not in memory"),
    "initrd-backward": (every("linux,initrd-end = .*;", "linux,initrd-end = <0x1000>;"), 125, "impossible initramfs"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd(programs, tmp_path, name):
    edit, status, words = ODD[name]
    done = trees.boot(tmp_path, programs / "machine", "audit=on", edit)
    assert not done.hung and done.status == status and words in done.text, done
    assert ("harts 2 memory" in done.text and "audit: ok" in done.text) == (status == 0), done
    assert "panic" not in done.text and done.text.count("cannot start") == (status != 0), done


@pytest.mark.parametrize("line,words", [("reg = <7>;", "(id 7) does not start: invalid parameter"), ("reg = <0>;", "does not start"),
                                        ("reg = <1 1 1>;", "")])
def test_harts_that_lie(programs, tmp_path, line, words):
    """Whichever hart is the boot hart, what is said of the other one is wrong: without it, then."""
    for one, other in ((0, 1), (1, 0)):
        text = line if "0" not in line else f"reg = <{one}>;"
        done = trees.boot(tmp_path, programs / "machine", "audit=on", prop(f"cpu@{other}", text))
        if f"id {other}, is not among" in done.text and done.status == 125:
            continue  # it was the boot hart of which the tree lies
        assert done.status == 0 and words in done.text and RUNS.format(1) in done.text and "audit: ok" in done.text, done


def test_hart_that_never_comes(programs, tmp_path):
    """sifive_u's hart 0 has no S-mode, and the firmware says all the same that it has started it."""
    done = trees.boot(tmp_path, programs / "machine", "audit=on", prop("cpu@0", 'mmu-type = "riscv,sv39";'), machine="sifive_u", harts=3)
    assert done.status == 0 and "hart 0 (id 0) was started and has not arrived: left out" in done.text, done
    assert RUNS.format(2) in done.text and "audit: ok" in done.text, done


@pytest.mark.parametrize("at,mem", [(0x8A0004F0, "256M"), (0x8FFE1238, "256M"), (0x82200000, "256M"), (0x170000AB8, "4G")])
def test_tree_anywhere(programs, tmp_path, at, mem):
    """Not at a page's start; at the end; right behind the kernel; above 4 GiB."""
    done = trees.boot(tmp_path, programs / "machine", "audit=on", lambda text: text, at=at, mem=mem)
    assert done.status == 0 and RUNS.format(2) in done.text and "audit: ok" in done.text, done


@pytest.mark.parametrize("blob,words", [(bytes(4096), "no device tree there"), (b"\xd0\x0d\xfe\xed" + b"\xff" * 60, "broken"),
                                        (b"\xd0\x0d\xfe\xed\0\0\0\x40" + bytes(56), "broken")])
def test_no_tree(programs, tmp_path, blob, words):
    done = trees.boot(tmp_path, programs / "machine", "", None, tree=blob)
    assert not done.hung and done.text.count("cannot start: device tree at 0x8a000000: ") == 1 and words in done.text, done


def test_tree_not_aligned(programs, tmp_path):
    done = trees.boot(tmp_path, programs / "machine", "", lambda text: text, at=trees.TREE + 4)
    assert not done.hung and "cannot start: device tree at 0x8a000004: not aligned" in done.text, done


def test_firmware_named(programs, tmp_path):
    """Where the tree names what the firmware has, the rest below the kernel is used."""
    done = trees.boot(tmp_path, programs / "machine", "audit=on", reserved("reg = <0 0x80000000 0 0x80000>;"))
    assert done.status == 0 and "reserves nothing" not in done.text, done
    plain = trees.boot(tmp_path, programs / "machine", "audit=on", lambda text: text)
    assert "reserves nothing for the firmware" in plain.text, plain
    memory = [int(re.search(r"memory (\d+)", run.text)[1]) for run in (done, plain)]
    assert memory[0] in (memory[1] + 1, memory[1] + 2), (done, plain)


# ---- Errata: which fences the kernel has

def fences(programs, folder, cpu):
    """What the kernel's fences name, as QEMU logs the instructions that it comes to."""
    log = folder / "instructions"
    done = trees.boot(folder, programs / "cow_threads", "audit=on", lambda text: text,
                      more=["-cpu", cpu, "-d", "in_asm", "-D", str(log)])
    assert done.status == 0 and "audit: ok" in done.text, done
    with open(log, errors="replace", encoding="utf-8") as lines:
        found = {line.split()[-1] for line in lines if line.startswith("0xffffff") and "sfence.vma" in line}
    return found, done.text


def test_errata(programs, tmp_path):
    """CIP-1200: with a U74's ids no fence names an address or an ASID, whatever runs; with others there are such."""
    found, text = fences(programs, tmp_path, "rv64")
    assert "erratum" not in text and any(operands != "zero,zero" for operands in found), found
    found, text = fences(programs, tmp_path, "rv64,mvendorid=0x489,marchid=0x8000000000000007,mimpid=0x20181004")
    assert "CIP-1200" in text and "CIP-453" in text and found == {"zero,zero"}, (found, text)


@pytest.mark.parametrize("ids,names", [
    ("marchid=0x8000000000000007,mimpid=0x20191105", {"CIP-1200", "CIP-453"}),
    ("marchid=0x8000000000000007,mimpid=0x20191106", {"CIP-1200"}), ("marchid=0x8000000000000007,mimpid=0x1200626", set()),
    ("marchid=0x8000000000000007,mimpid=0x1200631", set()), ("marchid=0x1,mimpid=0x20181004", {"CIP-1200"}),
    ("marchid=0x2,mimpid=0x20181004", set())])
def test_errata_by_id(programs, tmp_path, ids, names):
    done = trees.boot(tmp_path, programs / "machine", "", lambda text: text, more=["-cpu", f"rv64,mvendorid=0x489,{ids}"])
    assert done.status == 0 and set(re.findall(r"erratum: SiFive (CIP-\d+)", done.text)) == names, done


def test_template_for_a_board():
    """What HARDWARE.md says to copy can be compiled as it is."""
    words = ["gcc", "-x", "c", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}", str(ROOT / "board" / "template.c.txt")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- GPIO lines

@pytest.mark.parametrize("how,gpio,ends", [("restart", "gpio-restart", True), ("restart", "gpio-poweroff", True), ("stop", "gpio-poweroff", True),
                                           ("stop", "gpio-restart", False)])
def test_gpio(programs, tmp_path, how, gpio, ends, monkeypatch):
    """
    The firmware does not know the controller by this name, so it has no SRST; QEMU wires the restart line, and may not
    restart: it ends when the line moves.
    """
    def edit(text):
        text = text.replace('"sifive,gpio0"', '"sifive,fu740-c000-gpio"').replace('"gpio-restart"', f'"{gpio}"')
        return with_property(text, "gpio-restart", "active-delay = <30>;")

    monkeypatch.setattr(trees, "LIMIT", 30 if ends else 6)
    path = tmp_path / "firmware.dtb"
    text = edit(trees.source("sifive_u", 3, "256M", str(tmp_path)))
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", str(path), "-"], input=text, text=True, check=True)
    done = trees.boot(tmp_path, programs / "machine", f"end={how}", edit, machine="sifive_u", harts=3, more=["-dtb", str(path)])
    assert RUNS.format(2) in done.text and done.hung == (not ends), done
    assert ("there is no way to power off" in done.text) == (not ends), done
