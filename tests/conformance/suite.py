"""
What suites are made of: cases, what scripts/fetch brings (build/debian), and what is built from it.
"""
import dataclasses
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HERE = os.path.dirname(os.path.realpath(__file__))
CC = os.environ.get("CROSS", "riscv64-linux-gnu-") + "gcc"


class Missing(Exception):
    """Why a suite, or a case of it, cannot run."""


@dataclasses.dataclass
class Case:
    name: str                 # suite/program, as the table shows it
    program: str              # on this machine
    args: list = dataclasses.field(default_factory=list)
    stdin: str = ""
    status: int = 0           # expected
    out: str = None           # all it must print; None: anything
    ends: str = ""            # what its output must end with
    tap: bool = False         # counts its own cases, as the kernel's selftests do
    skips: tuple = (4,)       # statuses that say so: kselftest's
    limit: int = 60           # seconds
    mem: str = "512M"         # of Corral; Linux needs more to begin with
    linux_mem: str = "4G"
    tries: int = 1            # on both sides: for what depends on a few milliseconds
    files: dict = dataclasses.field(default_factory=dict)  # guest path: path here
    volume: bool = False      # wants a disk with a FAT at /mnt

    @property
    def guest(self):
        return "/bin/" + os.path.basename(self.program)


def fetch(kind, directory, name, *patterns):
    """The folder that scripts/fetch put it in."""
    done = subprocess.run([os.path.join(ROOT, "scripts", "fetch"), kind, directory, name, *patterns],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Missing(f"could not fetch {directory} from the Debian archive")
    return done.stdout.strip().splitlines()[-1]


def linux_image():
    """The kernel's package: itself, and the modules that a FAT on a disk needs."""
    modules = "./usr/lib/modules/*/kernel/"
    return fetch("deb", "linux-image", r"linux-image-6\.12\.[0-9]+\+deb13-riscv64", "./boot/vmlinu*",
                 *(modules + name for name in ("drivers/virtio/virtio_mmio.ko*", "drivers/block/virtio_blk.ko*", "fs/fat/*",
                                               "fs/nls/*")))


def built(output, command, *sources):
    """Runs a compiler where its output is missing or older than the sources."""
    newest = max(os.path.getmtime(source) for source in (*sources, os.path.join(HERE, "cases.py")))
    if os.path.exists(output) and os.path.getmtime(output) >= newest:
        return output
    os.makedirs(os.path.dirname(output), exist_ok=True)
    done = subprocess.run([*command, "-o", output + ".new"], capture_output=True, text=True, check=False)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line or "undefined" in line), done.stderr)
        raise Missing("does not build: " + first.strip()[-200:])
    os.replace(output + ".new", output)
    return output


def needed_by(program, place):
    """The shared libraries that a program needs, and those that they need: name: path."""
    found, left = {}, [program]
    while left:
        done = subprocess.run([CC.removesuffix("gcc") + "readelf", "-d", left.pop()], capture_output=True, text=True,
                              check=True)
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout):
            path = os.path.join(place, name)
            if not os.path.exists(path):
                raise Missing(f"{program} needs {name}, which is in none of the packages that are fetched")
            if name not in found:
                found[name] = path
                left.append(path)
    return found
