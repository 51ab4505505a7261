"""
Cases that need files, in memory (/tmp) and on a FAT volume (/mnt): stress-ng's stressors of files, directories and what maps
files, and databases that keep what they know in mappings that several processes share.
"""
import os

from suite import HERE, Case, fetch, needed_by

# ---- stress-ng's stressors, verifying themselves, for a fixed number of operations each.

FILES = {
    "access": 20, "chdir": (50, "--chdir-dirs", "64"), "chmod": 20, "chown": (20, "--timeout", "5"),
    "dentry": (500, "--dentries", "100"), "dev-shm": 2, "dir": (300, "--dir-dirs", "64"),
    "dirdeep": (200, "--dirdeep-inodes", "200"), "dirmany": 200, "dup": 20, "fallocate": (4, "--fallocate-bytes", "1M"),
    "fault": 100, "fcntl": 100, "fd-abuse": 2, "fd-fork": 4, "fifo": 200, "file-ioctl": 20, "filename": 20,
    "filerace": 20, "flock": 100, "fsize": 4, "fstat": (50, "--timeout", "5"), "full": 50, "getdent": 50,
    "hdd": (64, "--hdd-bytes", "2M"), "inode-flags": 20, "io": 20, "iomix": (50, "--iomix-bytes", "1M"), "locka": 50,
    "lockf": 100, "lockmix": 50, "lockofd": 50, "metamix": (20, "--metamix-bytes", "64K"), "mknod": 50,
    "mmap-file": (2, "--mmap-file"), "mmap-async": (2, "--mmap-async"),
    "mmap-write-check": (2, "--mmap-file", "--mmap-write-check"), "mmapaddr": 50, "mmapcow": 20, "mmapfiles": 20,
    "mmapfiles-shared": (20, "--mmapfiles-shared"), "mmapmany": 200, "msync": (50, "--msync-bytes", "1M"),
    "msyncmany": 20, "munmap": 2, "open": 500, "pseek": 200, "readahead": (20, "--readahead-bytes", "2M"),
    "rename": 200, "resources": 4, "revio": (50, "--revio-bytes", "1M"), "rmap": 20, "seek": (100, "--seek-size", "1M"),
    "sendfile": (20, "--sendfile-size", "512K"), "shm": 2, "sigbus": 50, "symlink": (4, "--timeout", "5"),
    "sync-file": (4, "--sync-file-bytes", "1M", "--timeout", "5"), "touch": 200, "umask": (50, "--timeout", "5"),
    "unlink": (4, "--timeout", "5"), "utime": (200, "--timeout", "5"), "vma": 20,
}
# With a time of their own: chown's second worker waits for a file that the first has removed, fstat's threads for the time to
# be up; the others are slow. What is called by another name than the stressor, and what runs on a volume, too:
STRESSOR = {"mmap-file": "mmap", "mmap-async": "mmap", "mmap-write-check": "mmap", "mmapfiles-shared": "mmapfiles"}
ON_VOLUMES = {
    "chdir", "chmod", "chown", "dentry", "dir", "dirdeep", "dirmany", "fallocate", "fault", "file-ioctl", "filename",
    "filerace", "flock", "fstat", "getdent", "hdd", "inode-flags", "io", "iomix", "locka", "lockf", "lockmix",
    "lockofd", "metamix", "mmap-file", "mmap-async", "mmap-write-check", "msync", "msyncmany", "open", "pseek",
    "readahead", "rename", "revio", "rmap", "seek", "sendfile", "sigbus", "sync-file", "touch",
}
LEFT_OUT = {
    "stress-ng/{file,fat}-link, fat-{fsize,unlink}": "does not end on Linux either",
    "stress-ng/{file,fat}-fpunch, fat-{access,umask,utime}": "fails on Linux",
    "stress-ng/{file-ramfs,file-bind-mount,file-umount}": "tmpfs, ramfs and bind mounts are not part of the ABI (docs/abi.md)",
    "stress-ng/file-{acl,xattr,verity}": "extended attributes and verity are not part of the ABI (docs/abi.md)",
    "stress-ng/file-{dnotify,inotify,fanotify}": "inotify and its kind are not part of the ABI (docs/abi.md)",
    "stress-ng/file-{aio,aiol,io-uring}": "asynchronous I/O is not part of the ABI (docs/abi.md)",
    "stress-ng/file-{lease,handle,statmount}": "leases, file handles and statmount are not part of the ABI (docs/abi.md)",
    "stress-ng/{file,fat}-copy-file": "its files are larger than the disk, 128 MiB at least",
}


def stressors(loader, files, common):
    yield from LEFT_OUT.items()
    for name, given in FILES.items():
        operations, *more = given if isinstance(given, tuple) else (given,)
        stressor = STRESSOR.get(name, name)
        args = [*common, "--" + stressor, "2", f"--{stressor}-ops", str(operations), *more, "--temp-path"]
        given = {"mem": "1G", "limit": 60, "files": files, "skips": (3, 4)}
        yield Case("stress-ng/file-" + name, loader, [*args, "/tmp"], **given)
        if name in ON_VOLUMES:
            yield Case("stress-ng/fat-" + name, loader, [*args, "/mnt"], volume=True, **given)


# ---- Databases. SQLite's write-ahead log and LMDB keep an index, or everything, in a mapping that its processes share.

PACKAGES = ("sqlite3", "libsqlite3-0", "libreadline8t64", "libtinfo6", "zlib1g", "libc6", "lmdb-utils", "liblmdb0", "tdb-tools",
            "libtdb1", "busybox-static")
TOOLS = ("sqlite3", "mdb_load", "mdb_dump", "mdb_stat", "tdbtool", "tdbbackup.tdbtools", "tdbdump")
LOADER = "ld-linux-riscv64-lp64d.so.1"


def databases(_build):
    root = os.path.join(fetch("deb", "databases", " ".join(PACKAGES), "./usr/*i[bn]/*"), "usr")
    files = {}
    for tool in TOOLS:
        program = os.path.join(root, "bin", tool)
        libraries = needed_by(program, os.path.join(root, "lib", "riscv64-linux-gnu"))
        files |= {"/lib/" + name: path for name, path in libraries.items()} | {"/bin/" + tool: program}
    script = os.path.join(HERE, "databases.sh")
    files |= {"/databases.sh": script}
    for name, directory, volume in (("tmpfs", "/tmp", False), ("fat", "/mnt", True)):
        yield Case("databases/" + name, os.path.join(root, "bin", "busybox"), ["sh", "/databases.sh", directory], tap=True,
                   limit=120, files=files, volume=volume)
