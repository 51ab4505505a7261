"""
The images for boards, booted: the Unleashed's whole chain, and what HARDWARE.md says to type at its U-Boot's prompt, on QEMU's
sifive_u, which is one; the Unmatched's U-Boot proper on it, too, as far as that can take its place. Debug kernel, audit=on.
"""
import json
import os
import re
import subprocess

import pexpect
import pytest

from corral_lib import card, platform
from tests.conftest import BUILD, KERNEL, LONG, ROOT

QUICK = "--quick --format=ktap --filter=null_syscall|cow_copy"
ARGUMENTS = f"init=/bin/bench audit=on -- {QUICK}"
KEEPING = f"mount=mmcblk0:/card init=/bin/bench audit=on -- --out=/card/results/ {QUICK}"
MEASURED = re.compile(r"^KTAP version 1\n1\.\.2\nok 1 null_syscall # [\d.]+ ns/call.*\nok 2 cow_copy # [\d.]+ ns/page", re.M)
PROMPT = "=> "


def mkcard(*words):
    subprocess.run([str(word) for word in (ROOT / "scripts" / "mkcard", *words)], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def initramfs(tmp_path_factory):
    path = tmp_path_factory.mktemp("initramfs") / "initramfs.cpio"
    subprocess.run([str(ROOT / "scripts" / "mkinitramfs"), str(path), f"{BUILD}/user/bench:/bin/bench"], check=True)
    return path


@pytest.fixture
def built(initramfs, tmp_path):
    """built(board name, boot arguments) -> its card"""
    def build(name, arguments=ARGUMENTS):
        try:
            card.BOARDS[name].stage("u-boot.itb")
        except card.BadImage as error:
            pytest.skip(str(error))
        path = tmp_path / "sdcard.img"
        mkcard("sdcard", name, path, "--kernel", KERNEL, "--initramfs", initramfs, "--append", arguments)
        return path
    return build


def drive(path, kind):
    return ["-drive", f"file={path},format=raw,if={kind}"]


def command(machine, memory, *more):
    return [platform.SYSTEM_QEMU, "-M", machine, "-smp", "5", "-m", memory, "-no-reboot", "-nographic", *map(str, more)]


def unleashed(switches, sd, flash):
    """switches: msel, the board's own."""
    stage = card.BOARDS["sifive-unleashed"].stage("u-boot-spl.bin")  # QEMU has no boot ROM that reads it from where the switches say
    return command(f"sifive_u,msel={switches}", "8G", "-bios", stage, *drive(sd, "sd"), *drive(flash, "mtd"))


def boot(words, seconds=120):
    """All that comes on the console until the machine has ended."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    said = done.stdout.decode(errors="replace").replace("\r", "")
    if b"cannot set up guest memory" in done.stderr:
        pytest.skip("this host cannot give a guest 8G")
    assert done.returncode == 0, f"{said[-3000:]}\n{done.stderr}"
    return said


def measured(said):
    assert MEASURED.search(said) and "audit: ok" in said, said[-3000:]


# ---- The Unleashed

def test_from_sd_card(built, tmp_path):
    """QEMU 7.2 answers every second CMD0 of a card wrongly, and U-Boot asks once: a script in the flash asks again."""
    flash = tmp_path / "flash"
    card.write_flash(str(flash), card.BOARDS["sifive-unleashed"], platform.CHAIN_SCRIPT, stages=False)
    sd = built("sifive-unleashed", KEEPING)
    said = boot(unleashed(11, sd, flash))
    assert "Trying to boot from MMC1" in said and "Retrieving file: /initramfs.cpio" in said, said[-3000:]
    measured(said)
    # By the words of HARDWARE.md: what a board that nobody is connected to leaves.
    report = subprocess.run(["mcopy", "-n", "-i", f"{sd}@@8M", "::results/bench-1.json", "-"], capture_output=True, check=True).stdout
    assert json.loads(report)["context"]["caches"][-1] == {"type": "Unified", "level": 2, "size": 2 << 20, "num_sharing": 4, "sets": 1024, "line": 64}
    names = {entry["run_name"] for entry in json.loads(report)["benchmarks"]}
    assert names == {"null_syscall", "cow_copy"}, names


def at_prompt(words):
    child = pexpect.spawn(words[0], words[1:], timeout=60, encoding="utf-8", codec_errors="replace", echo=False)
    child.expect_exact("Hit any key to stop autoboot")
    child.send(" ")
    child.expect_exact(PROMPT)
    return child


def say(child, *lines):
    """Lines at U-Boot's prompt; what the last one said."""
    for line in lines:
        child.send(line + "\r")
        child.expect_exact(PROMPT)
    return child.before


def ended(child):
    child.expect(pexpect.EOF, timeout=90)
    child.close()
    assert child.exitstatus == 0, child.before
    return child.before.replace("\r", "")


def recipe(board, tmp_path):
    """What `make spiflash` tells people to type."""
    done = subprocess.run([str(ROOT / "scripts" / "mkcard"), "spiflash", board, str(tmp_path / "spiflash.img")],
                          capture_output=True, text=True, check=True)
    return [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]


def test_spi_flash_written_on_the_board(built, tmp_path):
    """From the card's own copies by the recipe; then booted from there, which is what the switches' other setting does."""
    sd, flash = built("sifive-unleashed"), tmp_path / "flash"
    flash.write_bytes(b"\xff" * card.FLASH_SIZE)
    child = at_prompt(unleashed(11, sd, flash))
    say(child, "mmc rescan", "mmc rescan", *recipe("sifive-unleashed", tmp_path))
    child.close(force=True)
    wanted = (tmp_path / "spiflash.img").read_bytes()
    written = flash.read_bytes()
    for sector, name in ((card.FLASH_SPL, "u-boot-spl.bin"), (card.FLASH_FIT, "u-boot.itb")):
        end = sector * 512 + os.path.getsize(card.BOARDS["sifive-unleashed"].stage(name))
        assert written[sector * 512:end] == wanted[sector * 512:end], name
    said = boot(unleashed(6, sd, flash))
    assert "Trying to boot from SPI" in said, said[-3000:]
    measured(said)


@LONG
def test_by_hand(built, tmp_path):
    """HARDWARE.md's recipe for booti."""
    flash = tmp_path / "flash"
    card.write_flash(str(flash), card.BOARDS["sifive-unleashed"])
    child = at_prompt(unleashed(6, built("sifive-unleashed"), flash))
    say(child, "load mmc 0:3 ${kernel_addr_r} /Image", "load mmc 0:3 ${ramdisk_addr_r} /initramfs.cpio",
        f"setenv bootargs '{ARGUMENTS}'")
    child.send("booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdtcontroladdr}\r")
    measured(ended(child))


def test_by_network(initramfs, tmp_path):
    """HARDWARE.md's recipe for TFTP, with no card in the slot."""
    flash, served = tmp_path / "flash", tmp_path / "served"
    card.write_flash(str(flash), card.BOARDS["sifive-unleashed"])
    served.mkdir()
    (served / "Image").write_bytes(KERNEL.read_bytes())
    (served / "initramfs.cpio").write_bytes(initramfs.read_bytes())
    words = unleashed(6, os.devnull, flash)
    at = words.index(f"file={os.devnull},format=raw,if=sd")
    child = at_prompt(words[:at - 1] + words[at + 1:] + ["-nic", f"user,tftp={served}"])
    say(child, "setenv autoload no", "dhcp", "setenv serverip 10.0.2.2", "tftpboot ${kernel_addr_r} Image",
        "tftpboot ${ramdisk_addr_r} initramfs.cpio", f"setenv bootargs '{ARGUMENTS}'")
    child.send("booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdtcontroladdr}\r")
    measured(ended(child))


def spoil_blank(path):
    with open(path, "r+b") as file:
        file.truncate(0)
        file.truncate(64 << 20)


def spoil_by(tool, *words):
    return lambda path: subprocess.run([tool, "-i", f"{path}@@8M", *map(str, words)], check=True)


@LONG
@pytest.mark.parametrize("spoil,words", [
    (spoil_blank, r"No partition table - mmc 0"),
    (spoil_by("mdeltree", "::/extlinux"), r"Scanning mmc 0:3\.\.\.\s+(?!Found)"),
    (spoil_by("mdel", "::/Image"), r"Skipping corral for failure retrieving kernel"),
    (spoil_by("mcopy", "-o", KERNEL.with_name("kernel.elf"), "::/Image"), r"Bad Linux RISCV Image magic!"),
], ids=["blank", "no-files", "no-kernel", "elf"])
def test_cards_that_do_not_boot(built, tmp_path, spoil, words):
    """As HARDWARE.md says what is seen of them. They end at U-Boot's prompt."""
    sd, flash = built("sifive-unleashed"), tmp_path / "flash"
    card.write_flash(str(flash), card.BOARDS["sifive-unleashed"])
    spoil(sd)
    command_line = unleashed(6, sd, flash) + ["-nic", "none"]
    child = pexpect.spawn(command_line[0], command_line[1:], timeout=90, encoding="utf-8", codec_errors="replace", echo=False)
    child.expect(words)
    child.expect_exact(PROMPT)
    child.close(force=True)


def cut_to(path, part):
    """A file on the card becomes shorter than it was."""
    def spoil(sd):
        whole = subprocess.run(["mcopy", "-n", "-i", f"{sd}@@8M", f"::/{path}", "-"], capture_output=True, check=True).stdout
        subprocess.run(["mcopy", "-o", "-i", f"{sd}@@8M", "-", f"::/{path}"], input=whole[:int(len(whole) * part)], check=True)
    return spoil


def half_written(sd):
    """make flash was stopped in the middle of the kernel: from there on, the card has what it had before."""
    whole = sd.read_bytes()
    at = whole.index(KERNEL.read_bytes()[:4096]) + KERNEL.stat().st_size // 2
    sd.write_bytes(whole[:at] + bytes(len(whole) - at))


@LONG
@pytest.mark.parametrize("spoil,words", [
    (cut_to("Image", 0.5), r"corral: the kernel's image is cut off"),
    (cut_to("initramfs.cpio", 0.5), r"corral: cannot start: [^\r\n]*initramfs"),
    (half_written, r"corral: the kernel's image is cut off"),
    (lambda sd: os.truncate(sd, 128 << 20), r"Couldn't find partition mmc 0:1"),
], ids=["kernel", "initramfs", "half-written", "small-card"])
def test_cards_that_are_cut_off(built, tmp_path, spoil, words):
    """U-Boot loads what there is of it, and Corral says in one line what is missing; of a card that is smaller than its table, U-Boot does."""
    sd, flash = built("sifive-unleashed", KEEPING), tmp_path / "flash"
    card.write_flash(str(flash), card.BOARDS["sifive-unleashed"])
    spoil(sd)
    command_line = unleashed(6, sd, flash) + ["-nic", "none"]
    child = pexpect.spawn(command_line[0], command_line[1:], timeout=200, encoding="utf-8", codec_errors="replace", echo=False)
    child.expect(words)
    child.close(force=True)


# ---- The Unmatched

def fit_part(board, number, path):
    subprocess.run(["dumpimage", "-T", "flat_dt", "-p", str(number), "-o", str(path), board.stage("u-boot.itb")], check=True,
                   stdout=subprocess.DEVNULL)


def test_unmatched(built, tmp_path):
    """
    Its U-Boot proper, with its own device tree, boots its card. sifive_u has no I2C and no PCIe, so these nodes are
    disabled, and less memory; SPL and DDR are left to the board.
    """
    board = card.BOARDS["sifive-unmatched"]
    sd = built(board.name)
    program, tree = tmp_path / "u-boot", tmp_path / "tree"
    fit_part(board, 0, program)
    fit_part(board, 2, tree)
    nodes = subprocess.run(["fdtget", "-l", str(tree), "/soc"], capture_output=True, text=True, check=True).stdout.split()
    for node in nodes:
        if node.startswith(("i2c@", "pcie@")):
            subprocess.run(["fdtput", "-t", "s", str(tree), "/soc/" + node, "status", "disabled"], check=True)
    subprocess.run(["fdtput", "-t", "x", str(tree), "/memory@80000000", "reg", "0", "80000000", "0", "80000000"], check=True)
    program.write_bytes(program.read_bytes() + tree.read_bytes())
    said = boot(command("sifive_u", "2G", "-kernel", program, *drive(sd, "sd")), 200)
    assert "Model: SiFive HiFive Unmatched A00" in said and "part_3' with extlinux" in said, said[-3000:]
    # The tree has its interrupts of the board. Found out by one transfer, not by each of many tries.
    since = [float(at) for at in re.findall(r"\[ *(\d+\.\d+)\] corral: (?:random|mmcblk0: the card cannot be used: its controller)", said)]
    assert len(since) == 2 and since[1] - since[0] < 5, said[-3000:]
    measured(said)
