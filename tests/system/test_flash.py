"""Writing cards: scripts/flash against loop devices, and its parts by themselves where there are none."""
import os
import shutil
import stat
import subprocess

import pexpect
import pytest

from corral_lib import flash
from tests.conftest import ROOT

FLASH = str(ROOT / "scripts" / "flash")
MIB = 1 << 20


def tool(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


@pytest.fixture
def loop(tmp_path):
    """loop(MiB, folder) -> (device, the file behind it)"""
    devices, mounts = [], []

    def attach(mib, folder=tmp_path):
        path = folder / "card"
        with open(path, "wb") as file:
            file.truncate(mib * MIB)
        done = tool("losetup", "--find", "--show", str(path)) if os.getuid() == 0 else None
        if done is None or done.returncode:
            pytest.skip("no loop devices here: " + (done.stderr.strip() if done else "not root"))
        devices.append(done.stdout.strip())
        return devices[-1], path

    def mount(*words, at):
        at.mkdir()
        done = tool("mount", *words, str(at))
        if done.returncode:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
        mounts.append(str(at))
    attach.mount = mount
    yield attach
    order = [("losetup", "-d", device) for device in devices]
    # A tmpfs that a loop device's file is on goes after it, a file system that is on a loop device before.
    for at in reversed(mounts):
        order.insert(0 if at.endswith("card") else len(order), ("umount", at))
    for words in order:
        tool(*words)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "sdcard.img"
    path.write_bytes(os.urandom(5 * MIB + 512))
    return path


def run(image, device, *options, typed=""):
    return subprocess.run([FLASH, *options, str(image), str(device)], input=typed, capture_output=True, text=True, timeout=60, check=False)


def refused(done, words):
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done


# ---- On loop devices

def test_written_and_compared(loop, image):
    device, path = loop(8)
    done = run(image, device, "--fixed", typed=os.path.basename(device) + "\n")
    assert done.returncode == 0, done
    assert f"{device}: loop device of {path}, 8.4 MB" in done.stderr and "5.2 MB" in done.stderr, done
    assert "100 %" in done.stderr and "the same" in done.stderr, done
    data = path.read_bytes()
    assert data[:image.stat().st_size] == image.read_bytes() and not any(data[image.stat().st_size:])


@pytest.mark.parametrize("typed", ["", "\n", "yes\n", "loop\n"])
def test_asks_for_the_name(loop, image, typed):
    device, path = loop(8)
    refused(run(image, device, "--fixed", typed=typed), "nothing was written")
    assert not any(path.read_bytes())


def test_mounted(loop, image, tmp_path):
    device, path = loop(64)
    if "ext4" not in flash.text("/proc/filesystems").split() or not shutil.which("mkfs.ext4"):
        pytest.skip("no file system here to mount")
    assert tool("mkfs.ext4", "-q", device).returncode == 0
    before = path.read_bytes()
    loop.mount(device, at=tmp_path / "card-mounted-card")
    refused(run(image, device, "--fixed", "--yes"), "in use: mounted at " + str(tmp_path))
    assert path.read_bytes()[MIB:] == before[MIB:]


def partition_node(device, tmp_path):
    """The device of its first partition; made here where nobody else makes it."""
    name = os.path.basename(device)
    tool("partx", "--add", device)
    number = flash.text(f"/sys/class/block/{name}/{name}p1/dev")
    if not number:
        pytest.skip(f"the kernel here shows no partitions of {device}")
    try:
        os.mknod(tmp_path / "part", 0o600 | stat.S_IFBLK, os.makedev(*map(int, number.split(":"))))
    except OSError as error:
        pytest.skip(f"no device can be made here: {error.strerror}")
    return tmp_path / "part"


def test_partition_mounted(loop, image, tmp_path):
    """The whole disk is not mounted, a partition of it is."""
    device, path = loop(64)
    if "ext4" not in flash.text("/proc/filesystems").split() or not shutil.which("mkfs.ext4"):
        pytest.skip("no file system here to mount")
    assert tool("sgdisk", "-n", "1:2048:0", device).returncode == 0
    part = partition_node(device, tmp_path)
    try:
        assert tool("mkfs.ext4", "-q", part).returncode == 0
        before = path.read_bytes()
        loop.mount(part, at=tmp_path / "part-mounted-card")
        refused(run(image, device, "--fixed", "--yes"), "in use: mounted at " + str(tmp_path))
        refused(run(image, part, "--fixed", "--yes"), "a partition: the whole disk is needed")
        assert path.read_bytes()[:MIB] == before[:MIB]
        tool("umount", str(tmp_path / "part-mounted-card"))
        done = run(image, device, "--fixed", "--yes")
        assert done.returncode == 0 and path.read_bytes()[:MIB] == image.read_bytes()[:MIB], done
    finally:
        tool("umount", str(tmp_path / "part-mounted-card"))
        tool("partx", "--delete", device)


def test_used_in_a_way_that_only_the_kernel_knows(loop, image):
    device, path = loop(8)
    fd = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        refused(run(image, device, "--fixed", "--yes"), "in use")
    finally:
        os.close(fd)
    assert not any(path.read_bytes())


def test_not_removable(loop, image):
    device, path = loop(8)
    refused(run(image, device, "--yes"), "not removable")
    assert not any(path.read_bytes())


def test_too_small(loop, image):
    device, _ = loop(5)
    refused(run(image, device, "--fixed", "--yes"), "5.2 MB are too few for 5.2 MB")


def test_write_protected(loop, image):
    device, _ = loop(8)
    assert tool("blockdev", "--setro", device).returncode == 0
    try:
        refused(run(image, device, "--fixed", "--yes"), "write-protected")
    finally:
        tool("blockdev", "--setrw", device)  # a device may keep it beyond its file


def test_card_that_fails(loop, image, tmp_path):
    """A disk whose writes fail from some place on: it is on a file system that is full."""
    small = tmp_path / "small"
    loop.mount("-t", "tmpfs", "-o", "size=2M", "none", at=small)
    device, _ = loop(8, small)
    done = run(image, device, "--fixed", "--yes")
    assert done.returncode == 1 and "writing fails at" in done.stderr and "Traceback" not in done.stderr, done


def test_progress_on_a_terminal(loop, image):
    device, _ = loop(8)
    child = pexpect.spawn(FLASH, ["--fixed", str(image), device], timeout=30, encoding="utf-8", echo=False)
    child.expect_exact(f"Type {os.path.basename(device)} to go on: ")
    child.sendline(os.path.basename(device))
    child.expect_exact("written: 4 of 5 MiB")
    child.expect_exact("compared: 5 of 5 MiB, 100 %")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


# ---- Anywhere

def test_what_is_no_disk(image, tmp_path):
    refused(run(image, tmp_path / "nothing"), "No such file")
    refused(run(image, image), "not a disk")
    refused(run(image, "/dev/null"), "not a disk")


def test_list():
    done = tool(FLASH, "x", "--list")
    assert done.returncode == 2 and "which disk?" in done.stderr and "Traceback" not in done.stderr, done


@pytest.mark.parametrize("where", ["/", "/boot", "/usr"])
def test_system_disk(image, where):
    """Whatever this machine runs from: its disk is in use, or is none that could be taken for a card."""
    number = os.stat(where).st_dev if os.path.exists(where) else 0
    path = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    node = "/dev/" + os.path.basename(os.path.realpath(path))
    if not os.path.exists(path) or not os.path.exists(node):
        pytest.skip(f"{where} is on no disk of this machine")
    done = run(image, node)
    assert done.returncode == 2 and ("in use" in done.stderr or "a partition" in done.stderr or "not removable" in done.stderr), done


class Card:
    """What a test makes of a file: a card that is smaller than it says, as forged ones are: it starts again from its beginning."""

    def __init__(self, path, mib):
        self.fd, self.bytes = os.open(path, os.O_RDWR | os.O_CREAT), mib * MIB


def test_forged_card(tmp_path, image, monkeypatch):
    card = Card(tmp_path / "card", 3)
    at = 0

    def write(fd, data):
        nonlocal at
        part = bytes(data[:min(len(data), card.bytes - at % card.bytes)])
        os.pwrite(fd, part, at % card.bytes)
        at += len(part)
        return len(part)

    def read(fd, count):
        nonlocal at
        part = os.pread(fd, min(count, card.bytes - at % card.bytes), at % card.bytes)
        at += len(part)
        return part
    total = image.stat().st_size
    monkeypatch.setattr(flash.os, "write", write)
    with open(image, "rb") as file:
        flash.write(file, card.fd, total)
        monkeypatch.setattr(flash.os, "read", read)
        at = 0
        file.seek(0)
        with pytest.raises(flash.Failed, match="from byte 0 on"):
            flash.compare(file, card.fd, total)


def test_short_writes_and_reads(tmp_path, image, monkeypatch):
    """A disk that takes and gives less than it is asked for, any time."""
    real_write, real_read = os.write, os.read
    fd = os.open(tmp_path / "card", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr(flash.os, "write", lambda fd, data: real_write(fd, data[:100000]))
    monkeypatch.setattr(flash.os, "read", lambda fd, count: real_read(fd, min(count, 77777)))
    total = image.stat().st_size
    with open(image, "rb") as file:
        flash.write(file, fd, total)
        os.lseek(fd, 0, os.SEEK_SET)
        file.seek(0)
        flash.compare(file, fd, total)
        os.ftruncate(fd, total - 512)
        os.lseek(fd, 0, os.SEEK_SET)
        file.seek(0)
        with pytest.raises(flash.Failed, match="the disk ends at"):
            flash.compare(file, fd, total)
    os.close(fd)


def test_disk_that_takes_nothing(tmp_path, image, monkeypatch):
    fd = os.open(tmp_path / "card", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr(flash.os, "write", lambda fd, data: 0)
    with open(image, "rb") as file, pytest.raises(flash.Failed, match="takes nothing more"):
        flash.write(file, fd, image.stat().st_size)
    os.close(fd)


def test_swapped_between_the_look_and_the_opening(loop, image, monkeypatch, tmp_path):
    """The name leads to another disk by then: nothing is written to either."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (one, one_file), (other, other_file) = loop(8, tmp_path / "a"), loop(8, tmp_path / "b")
    name, check = tmp_path / "name", flash.Device.check
    name.symlink_to(one)

    def swap(device, needed, fixed):
        check(device, needed, fixed)
        name.unlink()
        name.symlink_to(other)
    monkeypatch.setattr(flash.Device, "check", swap)
    with pytest.raises(flash.Refused, match="another device"):
        flash.flash(str(image), str(name), fixed=True, yes=True)
    assert not any(one_file.read_bytes()) and not any(other_file.read_bytes())
