"""
Writes an image to a card, carefully: what is not plainly a card that nobody uses is refused, what was written is read back.
Everything known of a device is the kernel's word (/sys/class/block, mountinfo, swaps), and at the end O_EXCL, by which it
refuses to give us what a file system, a RAID or a mapping has.
"""
import errno
import fcntl
import os
import re
import stat
import sys
import time

from corral_lib import machine, progress

BLKRRPART, BLKFLSBUF = 0x125F, 0x1261
CHUNK = 4 << 20
MIB = 1 << 20


class Refused(Exception):
    """One line: why nothing was written."""


class Failed(Exception):
    """One line: what went wrong once writing had begun."""


class Stopped(Exception):
    """One line: what is on the card when a signal has ended it."""

    def __init__(self, message, signum):
        super().__init__(message)
        self.signum = signum


def text(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


class Device:
    """A block device by its path."""

    def __init__(self, path):
        self.path = path
        try:
            found = os.stat(path)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from None
        if not stat.S_ISBLK(found.st_mode):
            raise Refused(f"{path}: not a disk")
        self.number = found.st_rdev
        self.sys = os.path.realpath(f"/sys/dev/block/{os.major(self.number)}:{os.minor(self.number)}")
        self.name = os.path.basename(self.sys)
        self.size = int(text(self.sys, "size") or 0) * 512

    def parts(self):
        """The folders in /sys of the disk and its partitions."""
        return [self.sys] + [os.path.join(self.sys, name) for name in sorted(os.listdir(self.sys))
                             if os.path.exists(os.path.join(self.sys, name, "partition"))]

    def title(self):
        words = [text(self.sys, "device", name) for name in ("vendor", "model", "name")]
        backing = text(self.sys, "loop", "backing_file")
        return " ".join(filter(None, words)) or (f"loop device of {backing}" if backing else "unnamed")

    def is_card(self):
        """Removable by its own word, an SD card in a slot, or something on USB."""
        return text(self.sys, "removable") == "1" or text(self.sys, "device", "type") == "SD" or "/usb" in self.sys

    def users(self):
        """What it is used for: mount points, swap, RAID or mappings above it."""
        numbers = {text(part, "dev") for part in self.parts()}
        found = [f"mounted at {fields[4]}" for fields in map(str.split, text("/proc/self/mountinfo").splitlines())
                 if len(fields) > 4 and fields[2] in numbers]
        for line in text("/proc/swaps").splitlines()[1:]:
            try:
                number = os.stat(line.split()[0]).st_rdev
            except OSError:
                continue
            if f"{os.major(number)}:{os.minor(number)}" in numbers:
                found.append("swap")
        for part in self.parts():
            holders = os.path.join(part, "holders")
            found += [f"part of {name}" for name in (os.listdir(holders) if os.path.isdir(holders) else [])]
        return found

    def check(self, needed, fixed):
        """fixed: also what is not removable."""
        if os.path.exists(os.path.join(self.sys, "partition")):
            raise Refused(f"{self.path}: a partition: the whole disk is needed, "
                          f"/dev/{os.path.basename(os.path.dirname(self.sys))} perhaps")
        users = self.users()
        if users:
            raise Refused(f"{self.path}: in use: {', '.join(users)}")
        if not self.is_card() and not fixed:
            raise Refused(f"{self.path}: {self.title()}: not removable. If it is a card all the same: scripts/flash --fixed")
        if text(self.sys, "ro") == "1":
            raise Refused(f"{self.path}: write-protected: is there a switch on the card?")
        if self.size < needed:
            raise Refused(f"{self.path}: {size(self.size)} are too few for {size(needed)}" if self.size else f"{self.path}: no card in it")


def size(number):
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def cards():
    """All disks that could be meant, with why not."""
    for name in sorted(os.listdir("/sys/class/block")):
        path = "/dev/" + name
        if re.match(r"loop|ram|zram|dm-|md|sr|nbd", name) or os.path.exists(f"/sys/class/block/{name}/partition"):
            continue
        try:
            device = Device(path)
            device.check(1, False)
        except Refused as error:
            yield str(error)
        else:
            yield f"{path}: {device.title()}, {size(device.size)}"


class Progress:
    """One line that is drawn again; where standard error is no terminal, nothing but the end."""

    def __init__(self, what, total):
        self.what, self.total, self.shown = what, total, -1
        self.since, self.terminal = time.monotonic(), progress.usable(sys.stderr)

    def left(self, done):
        """At the speed so far: what it has done in three seconds says little."""
        took = time.monotonic() - self.since
        return f"; about {progress.duration(took / done * (self.total - done))} left" if done and took > 3 else ""

    def show(self, done):
        percent = done * 100 // max(1, self.total)
        if percent == self.shown or not (self.terminal or done == self.total):
            return
        self.shown = percent
        start, more, end = "\r\033[K" if self.terminal else "", self.left(done), ""
        if done == self.total:
            more, end = "", "\n"
        print(f"{start}{self.what}: {done // MIB} of {self.total // MIB} MiB, {percent} %{more}", end=end, file=sys.stderr, flush=True)


def write(image, fd, total):
    shown = Progress("written", total)
    done = 0
    while done < total:
        data = image.read(min(CHUNK, total - done))
        if not data:
            raise Failed(f"the image ends at {done} bytes of {total}: it has changed meanwhile")
        view = memoryview(data)
        while view:
            try:
                wrote = os.write(fd, view)
                if wrote and not view[wrote:]:
                    os.fdatasync(fd)  # so that progress is the card's, and an error is found where it is
            except OSError as error:
                raise Failed(f"writing fails at {done / MIB:.1f} MiB: {error.strerror}. The card is bad, or was taken out; "
                             "what is on it now is no system") from None
            if not wrote:
                raise Failed(f"the disk takes nothing more at {done} bytes of {total}")
            done += wrote
            view = view[wrote:]
        shown.show(done)


def compare(image, fd, total):
    shown = Progress("compared", total)
    done = 0
    while done < total:
        wanted = image.read(min(CHUNK, total - done))
        try:
            data = os.read(fd, len(wanted))
        except OSError as error:
            raise Failed(f"reading back fails at {done / MIB:.1f} MiB: {error.strerror}") from None
        if not data:
            raise Failed(f"the disk ends at {done} bytes of {total}")
        if data != wanted[:len(data)]:
            at = next(i for i, pair in enumerate(zip(data, wanted)) if pair[0] != pair[1])
            raise Failed(f"what is read back differs from what was written, from byte {done + at} on: the card is bad, or "
                         "smaller than it says")
        image.seek(done + len(data))
        done += len(data)
        shown.show(done)


def forget_cache(fd):
    """So that reading back asks the card."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        fcntl.ioctl(fd, BLKFLSBUF, 0)
    except OSError:
        pass  # asks for root where the rest does not


def read_partitions(fd):
    try:
        fcntl.ioctl(fd, BLKRRPART, 0)
    except OSError:
        pass  # loop devices without partitions, or no root: it is read when the card is put in again


def open_exclusive(path):
    try:
        return os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Refused(f"{path}: in use, the kernel says") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Refused(f"{path}: {error.strerror}: as root, or as a member of the group that has it") from None
        raise Refused(f"{path}: {error.strerror}") from None


def confirmed(device):
    print(f"All that is on it will be lost. Type {device.name} to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == device.name


def flash(path, target, fixed=False, yes=False):
    """Writes the file at path to the disk at target, after asking."""
    try:
        image = open(path, "rb")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}: make sdcard builds it") from None
    with image:
        total = os.fstat(image.fileno()).st_size
        if not total:
            raise Refused(f"{path}: is empty")
        device = Device(target)
        device.check(total, fixed)
        fd = open_exclusive(target)
        state = "nothing was written"
        try:
            if os.fstat(fd).st_rdev != device.number:
                raise Refused(f"{target}: another device than a moment ago")
            print(f"{target}: {device.title()}, {size(device.size)}; the image: {path}, {size(total)}", file=sys.stderr, flush=True)
            if not yes and not confirmed(device):
                raise Refused("nothing was written")
            state = "what is on the card now is no system"
            write(image, fd, total)
            state = "all is written, but not compared"
            forget_cache(fd)
            os.lseek(fd, 0, os.SEEK_SET)
            image.seek(0)
            compare(image, fd, total)
            read_partitions(fd)
        except machine.Interrupted as error:
            raise Stopped("stopped: " + state, error.signum) from None
        finally:
            os.close(fd)
    print(f"{target}: written, read back, and the same", file=sys.stderr)
