"""
A disk's power goes at a random moment of a program that writes, makes it durable, and says so: what it said is there.

The program (disk_writer.c) prints what it is about to do and that it is durable. QEMU is killed; the image is looked at with the
host's tools alone: fsck.fat may find lost clusters and the mark of an unclean stop, nothing else; each file that the program did not speak of last
is byte for byte as it said. What it said last may be lost between it and us: then what it says without a disk, with the same seed, tells how it went on,
and the disk is as at one of these moments. CORRAL_POWER_CUTS=100 cuts a hundred times, CORRAL_SEED repeats one.
"""
import os
import random
import re
import signal
import subprocess
import time

import pytest

from tests.conftest import BUILD, CORRAL, KERNEL
from tests.system import fat_image

CUTS = int(os.environ.get("CORRAL_POWER_CUTS", "4"))
SEED = int(os.environ.get("CORRAL_SEED", random.randrange(1 << 30)))
LATE = 100  # operations that it may be ahead of what we have read
NAME = "A file with a long name {}.data"


def content(at, turn):
    return (at * 7 + (at >> 9) + turn * 131 + 1) & 0xff


class Model:
    """What is on the disk by what the program said, and which files it may have been changing."""

    def __init__(self):
        self.files, self.begun = {}, None

    def touched(self):
        return {int(self.begun[1])} | ({int(self.begun[2])} if self.begun[0] == "rename" else set()) if self.begun else set()

    def line(self, line):
        kind, *words = line.split()
        self.begun = words if kind == "begin" else None
        if kind == "done":
            getattr(self, words[0])(*map(int, words[1:]))

    def create(self, name):
        self.files[name] = bytearray()

    def unlink(self, name):
        del self.files[name]

    def rename(self, old, new):
        self.files[new] = self.files.pop(old)

    def truncate(self, name, size):
        data = self.files[name]
        data[size:] = bytes(max(0, size - len(data)))

    def write(self, name, offset, size, turn):
        data = self.files[name]
        data.extend(bytes(max(0, offset - len(data))))
        data[offset:offset + size] = bytes(content(offset + i, turn) for i in range(size))


def read(image):
    """The program's files on the disk, by number."""
    found = (re.search(r"A file with a long name (\d+)\.data", name) for name in fat_image.names(image))
    return {int(match[1]): fat_image.read(image, match[0]) for match in found if match}


def difference(model, disk):
    """The first thing that the program said and the disk does not say; None."""
    uncertain = model.touched()
    if set(disk) - uncertain != set(model.files) - uncertain:
        return f"files {sorted(disk)} on the disk, {sorted(model.files)} by what was said"
    for name in set(model.files) - uncertain:
        data = disk[name]
        if data != model.files[name]:
            at = next((i for i, pair in enumerate(zip(data, model.files[name])) if pair[0] != pair[1]), "the end")
            return f"file {name}: {len(data)} bytes for {len(model.files[name])}, different from {at} on"
    return None


def writer(program, seed, where, operations, *options, harts=2):
    return [str(CORRAL), "run", "--build", str(BUILD), "--kernel", str(KERNEL), "--harts", str(harts), "--mem", "128M",
            "--timeout", "120", *options, "--", str(program), str(seed), where, str(operations)]


def cut(image, seed, harts, seconds, program):
    """Runs the writer and kills the machine; the lines that it said until then."""
    # bufsize: communicate() would not see what readline() has read ahead
    with subprocess.Popen(writer(program, seed, "/mnt", 100000, "--disk", f"{image}:/mnt", harts=harts), bufsize=0,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        first = process.stdout.readline()
        assert first.startswith(b"begin"), (first, process.stderr.read() if not first else b"")
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)  # and QEMU with it: it dies with its parent
            said, _ = process.communicate()
    return [line for line in (first + said).decode().splitlines(keepends=True) if line.endswith("\n")]


def all_lines(said, seed, program):
    """What it said, and what it was about to say: lines that were under way were lost with the machine."""
    turns = sum(line.startswith("begin") for line in said) + LATE
    done = subprocess.run(writer(program, seed, "/tmp", turns * 5 // 4), capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines(keepends=True)[:-1]
    assert lines[:len(said)] == said
    return lines[:len(said) + 2 * LATE]


@fat_image.needs_tools
@pytest.mark.parametrize("number", range(CUTS))
def test_what_was_synced_is_there(tmp_path, programs, number):
    dice = random.Random(SEED * 1000 + number)
    image = tmp_path / "disk.img"
    cluster = dice.choice((1, 1, 2, 8))
    fat_image.new(image, mib=max(64, 34 * cluster), sectors_per_cluster=cluster)
    seed, harts, seconds = dice.randrange(1, 1 << 30), dice.choice((1, 2, 4)), dice.uniform(0.01, 4)
    print(f"CORRAL_SEED={SEED}: cut {number}: writer's seed {seed}, {harts} harts, {seconds:.2f} s")
    said = cut(image, seed, harts, seconds, programs / "disk_writer")
    time.sleep(0.05)  # the kernel of this host ends the machine's threads
    assert fat_image.damage(image) == [], (seed, len(said))
    lines, model, disk = all_lines(said, seed, programs / "disk_writer"), Model(), read(image)
    for line in lines[:len(said)]:
        model.line(line)
    wrong = [difference(model, disk)]
    for line in lines[len(said):]:
        if wrong[-1] is None:
            break
        model.line(line)
        wrong.append(difference(model, disk))
    assert wrong[-1] is None, (wrong[0], seed, len(said), said[-1], len(wrong))


@fat_image.needs_tools
def test_nothing_is_lost_after_a_clean_stop(corral, programs, tmp_path):
    image = tmp_path / "disk.img"
    fat_image.new(image)
    done = corral(programs / "disk_writer", str(SEED), "/mnt", "150", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0 and done.out.endswith("ok\n"), done
    model = Model()
    for line in done.out.splitlines()[:-1]:
        model.line(line)
    assert fat_image.is_clean(image)
    assert difference(model, read(image)) is None


@fat_image.needs_tools
def test_the_checks_can_fail(tmp_path):
    """A wrong byte, a missing file and a damaged FAT are each found."""
    image = tmp_path / "disk.img"
    fat_image.new(image)
    data = bytes(content(i, 1) for i in range(3000))
    fat_image.write(image, NAME.format(1), data)
    model = Model()
    for line in ("begin create 1", "done create 1", "begin write 1 0 3000 1", "done write 1 0 3000 1"):
        model.line(line)
    assert difference(model, read(image)) is None and fat_image.damage(image) == []
    model.line("done write 1 100 1 2")
    assert "different from 100" in difference(model, read(image))
    model.line("done create 2")
    assert "files [1]" in difference(model, read(image))
    with open(image, "r+b") as file:
        file.seek(32 * 512 + 3 * 4)  # mkfs.fat's reserved sectors; the entry of the file's first cluster
        file.write(b"\x03\0\0\0")   # a chain that leads back to itself
    assert fat_image.damage(image)
