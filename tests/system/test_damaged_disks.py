"""
Disks with damaged partition tables, file systems and directories: the machine boots, says what is wrong, and goes on.

Each image is damaged by a seed of its own; four go into one machine. Programs read and write all that they still find: calls may fail,
the machine may not. CORRAL_DAMAGED=100 boots a hundred images, CORRAL_SEED repeats.
"""
import os
import random
import subprocess

import pytest

from tests.system import fat_image

DAMAGED = int(os.environ.get("CORRAL_DAMAGED", "12"))
SEED = int(os.environ.get("CORRAL_SEED", random.randrange(1 << 30)))
DISKS = 4
MIB = 40
START = 2048  # the partition's first sector
pytestmark = fat_image.needs_tools


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """A GPT with one FAT32 that has directories and files; as bytes."""
    place = tmp_path_factory.mktemp("disk")
    part = fat_image.new(place / "part.img", mib=MIB)
    subprocess.run(["mmd", "-i", str(part), "::directory", "::directory/below it"], check=True)
    for number in range(12):
        fat_image.write(part, f"directory/A long name of file {number}.bin", bytes([number]) * number * 3000)
        fat_image.write(part, f"FILE{number}.BIN", b"short" * number * 100)
    disk = place / "disk.img"
    with open(disk, "wb") as file:
        file.truncate((MIB + 2) << 20)
    subprocess.run(["sgdisk", "-n", f"1:{START}:{START + (MIB << 11) - 1}", "-t", "1:0700", str(disk)], check=True,
                   stdout=subprocess.DEVNULL)
    data = bytearray(disk.read_bytes())
    data[START * 512:START * 512 + (MIB << 20)] = part.read_bytes()
    return bytes(data)


def regions(data):
    """Where damage is likely to be met: (first byte, bytes) of table, boot sector, FSInfo, FATs, and the first directories."""
    boot = data[START * 512:START * 512 + 512]
    reserved = int.from_bytes(boot[14:16], "little")
    fat_sectors = int.from_bytes(boot[36:40], "little")
    cluster_sectors = boot[13]
    root = START + reserved + boot[16] * fat_sectors
    return {"mbr": (0, 512), "gpt": (512, 1024), "entries": (1024, 256), "boot": (START * 512, 96),
            "fsinfo": (START * 512 + 512, 512), "fat": ((START + reserved) * 512, 256),
            "root": (root * 512, 2048), "directories": ((root + cluster_sectors) * 512, 8192)}


def damage(data, dice):
    """A copy with some bytes of some regions changed, in ways that find bounds: zeros, ones, small numbers, bits."""
    data, places = bytearray(data), regions(data)
    said = []
    for name in dice.sample(sorted(places), dice.randint(1, 2)):
        first, size = places[name]
        for _ in range(dice.choice((1, 1, 4, 16))):
            at = first + dice.randrange(size)
            data[at] = dice.choice((0, 0xff, 1, 2, data[at] ^ (1 << dice.randrange(8)), dice.randrange(256)))
            said.append(f"{name}+{at - first}={data[at]:#x}")
    if dice.random() < 0.1:
        del data[dice.randrange(len(data)):]
        said.append(f"cut to {len(data)}")
    return data + bytes(-len(data) % 512) or bytes(512), said


@pytest.mark.parametrize("number", range((DAMAGED + DISKS - 1) // DISKS))
def test_damaged(corral, programs, tmp_path, good, number):
    options, said, places = [], [], []
    for disk in range(DISKS):
        seed = SEED * 1000 + number * DISKS + disk
        data, what = damage(good, random.Random(seed))
        image = tmp_path / f"disk{disk}.img"
        image.write_bytes(data)
        said.append((seed, what))
        places.append(f"/mnt{disk}")
        options += ["--disk", f"{image}:/mnt{disk}"]
    print(f"CORRAL_SEED={SEED}", *said, sep="\n")
    done = corral(programs / "walk", *places, harts=random.Random(SEED + number).choice((1, 2, 4)), options=options,
                  append="audit=on", timeout=120)
    assert done.status == 0 and done.out.endswith("ok\n"), (said, done)
    assert "panic" not in done.log and "audit: ok" in done.log, (said, done)


def test_what_cannot_be_mounted_is_said(corral, programs, tmp_path, good):
    """One line for each, which names the disk and what is wrong; the others are mounted."""
    broken = {"no-table": bytes(1 << 20), "bad-gpt": bytearray(good), "bad-boot": bytearray(good)}
    broken["bad-gpt"][512 + 16] ^= 1  # a check sum of the header, and of its copy
    broken["bad-gpt"][-512 + 16] ^= 1
    broken["bad-boot"][START * 512 + 11:START * 512 + 13] = b"\x01\x03"  # 769 bytes a sector
    options = []
    for number, data in enumerate([*broken.values(), good]):
        (tmp_path / f"{number}.img").write_bytes(data)
        options += ["--disk", f"{tmp_path / f'{number}.img'}:/mnt{number}"]
    done = corral(programs / "walk", "/mnt3", options=options)
    assert done.status == 0 and done.out.startswith("26 names, 231000 bytes, 0 failures\n"), done
    for disk in ("vda", "vdb", "vdc"):
        lines = [line for line in (done.err + done.log).splitlines() if disk in line and "mount" in line]
        assert lines, (disk, done)
