"""Writes an initramfs: a cpio archive in the "newc" format, all files owned by root, with no times in it."""
import os
import stat

DIRECTORIES = ("bin", "dev", "etc", "proc", "tmp")
# name, major, minor, mode: what Linux's initramfs has in /dev
DEVICES = (("console", 5, 1, 0o600), ("full", 1, 7, 0o666), ("null", 1, 3, 0o666), ("random", 1, 8, 0o666),
           ("tty", 5, 0, 0o666), ("urandom", 1, 9, 0o666), ("zero", 1, 5, 0o666))
LONGEST = 0xFFFFFFFF


def record(number, name, mode, data=b"", device=(0, 0), links=1):
    name = os.fsencode(name) + b"\0"
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, device[0], device[1], len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


class Initramfs:
    """Collects files by guest path; to_bytes() gives the archive. Later files replace earlier ones of the same path."""

    def __init__(self):
        self.entries = {}
        for name in DIRECTORIES:
            self.entries[name] = (stat.S_IFDIR | (0o1777 if name == "tmp" else 0o755), b"", (0, 0))
        for name, major, minor, mode in DEVICES:
            self.entries["dev/" + name] = (stat.S_IFCHR | mode, b"", (major, minor))

    def add_bytes(self, guest, data, mode=0o644):
        guest = os.path.normpath("/" + guest).lstrip("/")
        if not guest:
            raise ValueError("a file needs a name in the guest")
        if len(data) > LONGEST:
            raise ValueError(f"{guest}: longer than 4 GiB")
        parent = os.path.dirname(guest)
        while parent and parent not in self.entries:
            self.entries[parent] = (stat.S_IFDIR | 0o755, b"", (0, 0))
            parent = os.path.dirname(parent)
        self.entries[guest] = (stat.S_IFREG | mode, data, (0, 0))

    def add_link(self, guest, target):
        self.add_bytes(guest, os.fsencode(target))
        self.entries[guest.lstrip("/")] = (stat.S_IFLNK | 0o777, os.fsencode(target), (0, 0))

    def add(self, host, guest=None, mode=None):
        """Adds a file, or a directory with all in it. Without guest: by its own name in the root directory."""
        guest = guest or "/" + os.path.basename(os.path.normpath(host))
        if guest.endswith("/"):
            guest += os.path.basename(os.path.normpath(host))
        if not os.path.isdir(host):
            with open(host, "rb") as file:
                self.add_bytes(guest, file.read(), mode or stat.S_IMODE(os.stat(host).st_mode) & 0o755 | 0o444)
            return
        for directory, _, files in os.walk(host):
            for name in files:
                path = os.path.join(directory, name)
                self.add(path, os.path.join(guest, os.path.relpath(path, host)))

    def to_bytes(self):
        # Sorted, so that a directory comes before what is in it, and equal input gives equal archives.
        parts = [record(number, name, mode, data, device, 2 if stat.S_ISDIR(mode) else 1)
                 for number, (name, (mode, data, device)) in enumerate(sorted(self.entries.items()), 1)]
        archive = b"".join(parts) + record(0, "TRAILER!!!", 0)
        return archive + b"\0" * (-len(archive) % 512)


def split_spec(spec):
    """HOST[:GUEST] -> (host, guest or None). A host path that exists as a whole may hold colons."""
    if os.path.exists(spec) or ":" not in spec:
        return spec, None
    host, _, guest = spec.rpartition(":")
    return host, guest or None
