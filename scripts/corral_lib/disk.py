"""--disk IMAGE[:PATH][:ro]: images as virtio disks of the machine, and the boot argument that says where they are mounted."""
import os
import re
import stat

MOST = 8  # virtio-mmio slots of QEMU's virt
DEFAULT_PATH = "/mnt"
MAKE = "to make one: truncate -s 64M {0} && mkfs.fat -F 32 {0}"
UNPACK = "packed ({0}): unpack it first"
CONVERT = "a {0} image, but only raw ones are disks here: qemu-img convert -O raw makes one"
FOREIGN = {b"QFI\xfb": CONVERT.format("qcow2"), b"KDMV": CONVERT.format("VMDK"), b"vhdxfile": CONVERT.format("VHDX"),
           b"<<< ": CONVERT.format("VDI"), b"conectix": CONVERT.format("VHD"), b"\x1f\x8b": UNPACK.format("gzip"),
           b"BZh": UNPACK.format("bzip2"), b"\xfd7zXZ\0": UNPACK.format("xz"), b"(\xb5/\xfd": UNPACK.format("zstd"),
           b"PK\3\4": UNPACK.format("zip"), b"7z\xbc\xaf": UNPACK.format("7z")}


class BadDisk(Exception):
    """One line: what is wrong with a --disk."""


class Disk:
    """One image: host path, guest path (empty: not mounted), and whether it is for reading only."""

    def __init__(self, spec):
        self.spec = spec
        rest, self.read_only = (spec[:-3], True) if spec.endswith(":ro") and not os.path.exists(spec) else (spec, False)
        self.image, self.path = split(rest)
        if not self.image:
            raise BadDisk(f"--disk {spec}: no image given: IMAGE[:PATH][:ro]")
        if self.path and (not self.path.startswith("/") or "," in self.path or ":" in self.path):
            raise BadDisk(f"--disk {spec}: {self.path}: must be an absolute path without commas and colons")
        if self.path and os.path.normpath(self.path) in ("/", "//"):
            raise BadDisk(f"--disk {spec}: / is the initramfs: a directory like /mnt")
        self.look()

    def look(self):
        try:
            mode = os.stat(self.image).st_mode
            with open(self.image, "rb") as file:
                head = file.read(512)
        except FileNotFoundError:
            raise BadDisk(f"--disk {self.spec}: {self.image}: no such file ({MAKE.format(self.image)})") from None
        except OSError as error:
            raise BadDisk(f"--disk {self.spec}: {self.image}: {error.strerror}") from None
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise BadDisk(f"--disk {self.spec}: {self.image}: neither a file nor a disk")
        if len(head) < 512:
            raise BadDisk(f"--disk {self.spec}: {self.image}: {len(head)} bytes are too few for a disk ({MAKE.format(self.image)})")
        for magic, why in FOREIGN.items():
            if head.startswith(magic) and head[510:] != b"\x55\xaa":
                raise BadDisk(f"--disk {self.spec}: {self.image}: {why}")
        if not self.read_only and not os.access(self.image, os.W_OK):
            raise BadDisk(f"--disk {self.spec}: {self.image}: may not be written (for reading only: {self.spec}:ro)")
        self.driver = "host_device" if stat.S_ISBLK(mode) else "file"


def split(spec):
    """IMAGE or IMAGE:PATH, where the image's name may have colons when such a file exists."""
    if os.path.exists(spec) or ":" not in spec:
        return spec, DEFAULT_PATH
    return tuple(spec.rsplit(":", 1))


def parse(specs):
    disks = [Disk(spec) for spec in specs]
    if len(disks) > MOST:
        raise BadDisk(f"--disk: {len(disks)} disks, but {MOST} is the most")
    paths = [os.path.normpath(disk.path) for disk in disks if disk.path]
    for path in paths:
        if paths.count(path) > 1:
            raise BadDisk(f"--disk: two disks at {path}; say where each goes: IMAGE:PATH")
    for i, disk in enumerate(disks):
        for other in disks[:i]:
            if os.path.samefile(disk.image, other.image) and not (disk.read_only and other.read_only):
                raise BadDisk(f"--disk {disk.spec}: the same image as {other.spec}: one disk, or both for reading only (:ro)")
    return disks


def explain(message):
    """What QEMU says when it stops, or, of an image that another one has, what that means here."""
    found = re.search(r'Failed to get (?:shared )?"\w+" lock\s+Is another process using the image \[(.*)\]', message)
    return message if found is None else f"--disk {found[1]}: in use by another program, another corral run perhaps " \
        "(many may have it for reading only: :ro)"


def boot_argument(disks, first=0, card=False):
    """
    mount=vda:PATH,vdb:PATH, or None. Of a disk with partitions the kernel takes the first one for FAT. first: how many
    disks there are before ours; card: it is an SD card.
    """
    mounts = [("mmcblk0" if card else f"vd{chr(ord('a') + i)}") + f":{disk.path}" for i, disk in enumerate(disks, first) if disk.path]
    return "mount=" + ",".join(mounts) if mounts else None


def qemu_arguments(disks, virtio):
    """
    virtio: modern or legacy. The first disk is vda: QEMU gives out the slots in the order of its device tree. Errors are the guest's
    to see: left alone, QEMU stops the machine when this host's disk is full, and nothing more is heard of it.
    """
    arguments = ["-global", f"virtio-mmio.force-legacy={'true' if virtio == 'legacy' else 'false'}"] if disks else []
    for i, disk in enumerate(disks):
        image = disk.image.replace(",", ",,")
        arguments += ["-blockdev", f"driver=raw,node-name=disk{i},read-only={'on' if disk.read_only else 'off'},"
                                   f"file.driver={disk.driver},file.filename={image}",
                      "-device", f"virtio-blk-device,drive=disk{i},werror=report,rerror=report"]
    return arguments


def card_arguments(disks):
    """The one disk as an SD card, whose sizes are powers of two."""
    arguments = []
    for disk in disks:
        with open(disk.image, "rb") as file:
            size = file.seek(0, os.SEEK_END)
        if size & (size - 1):
            raise BadDisk(f"--disk {disk.spec}: {size} bytes, but the size of an SD card is a power of two: truncate -s "
                          f"{1 << (size.bit_length() - 20) if size > 1 << 20 else 1}M {disk.image}")
        image = disk.image.replace(",", ",,")
        arguments += ["-drive", f"file={image},format=raw,if=sd,readonly={'on' if disk.read_only else 'off'}"]
    return arguments
