"""--disk IMAGE[:PATH][:ro]: images as virtio disks of the machine, and the boot argument that says where they are mounted."""
import os
import stat

MOST = 8  # virtio-mmio slots of QEMU's virt
DEFAULT_PATH = "/mnt"


class BadDisk(Exception):
    """One line: what is wrong with a --disk."""


class Disk:
    """One image: host path, guest path (empty: not mounted), and whether it is for reading only."""

    def __init__(self, spec):
        self.spec = spec
        rest, self.read_only = (spec[:-3], True) if spec.endswith(":ro") and not os.path.exists(spec) else (spec, False)
        self.image, self.path = split(rest)
        if self.path and (not self.path.startswith("/") or "," in self.path or ":" in self.path):
            raise BadDisk(f"--disk {spec}: {self.path}: must be an absolute path without commas and colons")
        self.look()

    def look(self):
        try:
            mode = os.stat(self.image).st_mode
            with open(self.image, "rb") as file:
                head = file.read(512)
        except OSError as error:
            raise BadDisk(f"--disk {self.spec}: {self.image}: {error.strerror}") from None
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise BadDisk(f"--disk {self.spec}: {self.image}: neither a file nor a disk")
        if len(head) < 512:
            raise BadDisk(f"--disk {self.spec}: {self.image}: too small for a disk")
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
    return disks


def boot_argument(disks):
    """mount=vda:PATH,vdb:PATH, or None. Of a disk with partitions the kernel takes the first one for FAT."""
    mounts = [f"vd{chr(ord('a') + i)}:{disk.path}" for i, disk in enumerate(disks) if disk.path]
    return "mount=" + ",".join(mounts) if mounts else None


def qemu_arguments(disks, virtio):
    """virtio: modern or legacy. The first disk is vda: QEMU gives out the slots in the order of its device tree."""
    arguments = ["-global", f"virtio-mmio.force-legacy={'true' if virtio == 'legacy' else 'false'}"] if disks else []
    for i, disk in enumerate(disks):
        image = disk.image.replace(",", ",,")
        arguments += ["-blockdev", f"driver=raw,node-name=disk{i},read-only={'on' if disk.read_only else 'off'},"
                                   f"file.driver={disk.driver},file.filename={image}",
                      "-device", f"virtio-blk-device,drive=disk{i}"]
    return arguments
