"""SD cards on QEMU's sifive_u: SiFive's SPI controller, cards of both kinds, files on them, and cards that are taken out."""
import json
import random
import re
import shlex
import socket
import subprocess
import time

import pytest

from tests.conftest import BUILD, CORRAL, KERNEL
from tests.system import fat_image

pytestmark = fat_image.needs_tools
FIRST = 16384  # sector of the FAT partition, as on the boards' cards


def with_card(path):
    return ["--machine", "sifive_u", "--qemu-args", f"-drive file={shlex.quote(str(path))},format=raw,if=sd,id=card"]


def make_card(path, volume, mib=128, first=FIRST):
    """A card as the boards have them: other partitions, then a FAT one. A power of two, as QEMU wants it."""
    with open(path, "wb") as file:
        file.truncate(mib << 20)
    subprocess.run(["sgdisk", "-n", "1:34:2081", "-t", "1:5B193300-FC78-40CD-8002-E86C45580B47", "-n", f"3:{first}:0",
                    "-t", "3:EF00", "-a", "1", str(path)], check=True, stdout=subprocess.DEVNULL)
    with open(path, "r+b") as file:
        file.seek(first << 9)
        file.write(volume.read_bytes())
    return path


def take_volume(path, volume, first=FIRST):
    """The partition's content, as it is now."""
    size = volume.stat().st_size
    with open(path, "rb") as file:
        file.seek(first << 9)
        volume.write_bytes(file.read(size))
    return volume


@pytest.mark.parametrize("harts", (1, 4))
def test_files(corral, programs, tmp_path, harts):
    """Random reads, writes, cuts and mapped stores on a file of the card, and then the volume as another FAT sees it."""
    volume = fat_image.new(tmp_path / "volume.img", mib=40)
    image = make_card(tmp_path / "card.img", volume)
    done = corral(programs / "fsx", "3", "/mnt", "150", "keep", harts=harts, timeout=120,
                  append="audit=on mount=mmcblk0:/mnt", options=with_card(image))
    assert done.status == 0, done
    assert "mmcblk0: 128 MiB, SD card QEMU!" in done.log and ", 20000 kHz\n" in done.log, done
    assert "mount: mmcblk0p3 at /mnt" in done.log, done
    assert fat_image.is_clean(take_volume(image, volume)) and fat_image.names(volume) == ["::/fsx.data"]


def test_high_capacity(corral, programs, tmp_path):
    """4 GiB: addresses are of sectors, and the partition is where they need more than 31 bits as bytes."""
    first = 3 << 21
    volume = fat_image.new(tmp_path / "volume.img", mib=40)
    fat_image.write(volume, "hello", b"from beyond 3 GiB")
    image = make_card(tmp_path / "card.img", volume, mib=4096, first=first)
    done = corral(programs / "cat", "/mnt/hello", append="audit=on mount=mmcblk0:/mnt", options=with_card(image))
    assert done.status == 0 and done.out == "from beyond 3 GiB", done
    assert "mmcblk0: 4096 MiB, SDHC card" in done.log, done


def test_empty_slot(corral, programs):
    done = corral(programs / "die", "return", append="mount=mmcblk0:/mnt", options=["--machine", "sifive_u"])
    assert done.status == 37 and "mmcblk0: no card in the slot" in done.log, done
    assert "cannot mount mmcblk0 at /mnt: there is no such disk" in done.err, done


@pytest.mark.parametrize("what,words", [("blank", "cannot mount mmcblk0 at /mnt"), ("cut", "cannot mount mmcblk0 at /mnt"),
                                        ("no-table", "mount: mmcblk0 at /mnt"), ("random", "cannot mount mmcblk0 at /mnt")])
def test_odd_cards(corral, programs, tmp_path, what, words):
    """Nothing on it; less than its FAT says; a FAT without a partition table, and without the files of a boot card; noise."""
    image = tmp_path / "card.img"
    if what in ("cut", "no-table"):
        fat_image.new(image, mib=64)
    with open(image, "r+b" if image.exists() else "wb") as file:
        file.truncate((32 if what == "cut" else 64) << 20)
        file.write(random.Random(1).randbytes(1 << 20) if what == "random" else b"")
    done = corral(programs / "die", "return", append="audit=on mount=mmcblk0:/mnt", options=with_card(image))
    assert done.status == 37 and words in done.log and "audit: ok" in done.log, done
    assert (what == "no-table") == (done.err == ""), done


class Monitor:
    """QEMU's human monitor, behind a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.until_prompt()

    def until_prompt(self):
        text = b""
        while not text.endswith(b"(qemu) "):
            text += self.socket.recv(4096)
        return text.decode()

    def __call__(self, command):
        self.socket.sendall(command.encode() + b"\n")
        return self.until_prompt()


def test_taken_out(programs, tmp_path):
    """The card is taken out under a program: EIO, and no hang. Put back, it can be read, and not be written."""
    image, path, log = tmp_path / "card.img", tmp_path / "monitor", tmp_path / "kernel.log"
    image.write_bytes(bytes(4 << 20))
    command = [str(CORRAL), "run", "--build", str(BUILD), "--kernel", str(KERNEL), "--harts", "2", "--timeout", "60", "--log", str(log),
               *with_card(image), "--qemu-args", f"-chardev socket,id=mon,path={path},server=on,wait=off -mon chardev=mon,mode=readline",
               "--append", "audit=on", "--", str(programs / "card"), "/dev/mmcblk0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout.readline() == "reading\n"
            monitor = Monitor(path)
            began = time.monotonic()
            assert "rror" not in monitor("eject -f card")
            assert run.stdout.readline() == "gone\n"
            assert time.monotonic() - began < 20
            assert "rror" not in monitor(f"change card {image} raw")
            run.stdin.write("\n")
            run.stdin.flush()
            assert run.stdout.readline() == "back\n"
            assert run.wait(timeout=60) == 0
        finally:
            run.kill()
    text = log.read_text()
    assert len(re.findall("mmcblk0: the card does not answer", text)) == 1 and text.count("mmcblk0: the card is back") == 1, text
    assert "audit: ok" in text, text


def test_results(corral, tmp_path):
    """The benchmark's report is written to the card, a new file each time, and is whole."""
    volume = fat_image.new(tmp_path / "volume.img", mib=40)
    image = make_card(tmp_path / "card.img", volume)
    for _ in range(2):
        done = corral("bench", "--quick", "--filter=^(null_syscall|zero_fill)$", "--out=/card/results/", timeout=120,
                      append="audit=on mount=mmcblk0:/card", options=with_card(image))
        assert done.status == 0 and "null_syscall" in done.out, done
    take_volume(image, volume)
    assert fat_image.is_clean(volume)
    assert fat_image.names(volume, "::/results") == ["::/results/bench-1.json", "::/results/bench-2.json"]
    report = json.loads(fat_image.read(volume, "results/bench-2.json"))
    assert {entry["run_name"] for entry in report["benchmarks"]} == {"null_syscall", "zero_fill"}
    assert report["context"]["harts"] == 2
