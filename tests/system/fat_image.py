"""FAT images made, read and checked with this machine's own tools: mkfs.fat, mtools, fsck.fat."""
import re
import shutil
import subprocess

import pytest

needs_tools = pytest.mark.skipif(not all(map(shutil.which, ("mkfs.fat", "fsck.fat", "mcopy", "sgdisk"))),
                                 reason="needs dosfstools, mtools and gdisk (make setup)")

# What fsck.fat says of clusters that nothing refers to, of the mark that says so, and of its own work. Anything else is damage, but for
# LOST_BEHIND: clusters that are lost at the end of a file's chain, behind its size.
LOST_BEHIND = re.compile(r"^/.*\n  File size is \d+ bytes, cluster chain length is > \d+ bytes\.\n  Truncating file to \d+ bytes\.\n", re.M)
HARMLESS = re.compile(r"fsck\.fat \d|There are differences between boot sector and its backup|This is mostly harmless|  65:0[01]/0[01]$|"
                      r"  Not automatically fixing this|FATs differ but appear to be intact|  Using first FAT|"
                      r"Reclaimed \d+ unused clusters? \(|Dirty bit is set\.| Automatically removing dirty bit|"
                      r"Leaving filesystem unchanged|Free cluster summary (wrong|uninitialized)|  Auto-correcting|.*: \d+ files, |\s*$")


def new(path, mib=64, sectors_per_cluster=1):
    """A sparse image of at least that size; FAT32 asks for 65525 clusters."""
    with open(path, "wb") as file:
        file.truncate(max(mib, 34 * sectors_per_cluster) << 20)
    subprocess.run(["mkfs.fat", "-F", "32", "-s", str(sectors_per_cluster), str(path)], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def damage(path):
    """The lines of fsck.fat that say more than that some clusters are lost."""
    done = subprocess.run(["fsck.fat", "-n", str(path)], capture_output=True, text=True, check=False)
    return [line for line in LOST_BEHIND.sub("", done.stdout + done.stderr).splitlines() if not HARMLESS.match(line)]


def is_clean(path):
    """Whether fsck.fat has nothing at all to say."""
    return subprocess.run(["fsck.fat", "-n", str(path)], capture_output=True, check=False).returncode == 0


def names(path, directory="::"):
    done = subprocess.run(["mdir", "-b", "-i", str(path), directory], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def read(path, name):
    return subprocess.run(["mcopy", "-n", "-i", str(path), "::" + name, "-"], capture_output=True, check=True).stdout


def write(path, name, data):
    subprocess.run(["mcopy", "-o", "-i", str(path), "-", "::" + name], input=data, check=True)
