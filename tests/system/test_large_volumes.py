"""FAT volumes with many names, of 8 GiB, on a slow disk, and with odd names."""
import re
import subprocess

import pytest

from tests.system import fat_image

pytestmark = fat_image.needs_tools


@pytest.mark.parametrize("harts", (1, 4))
def test_many_names(corral, programs, tmp_path, harts):
    """10,000 names in a directory: the last are created and found as quickly as the first."""
    image = fat_image.new(tmp_path / "disk.img", mib=64)
    done = corral(programs / "volume_large", "names", "/mnt", "10000", harts=harts, append="audit=on",
                  options=["--disk", f"{image}:/mnt"], timeout=120)
    print(done.out)
    assert done.status == 0, done
    assert fat_image.is_clean(image) and len(fat_image.names(image, "::many")) == 5000


@pytest.mark.parametrize("harts", (1, 4))
def test_slow_disk(corral, programs, tmp_path, harts):
    """A disk that writes a megabyte in a second keeps nobody from other files."""
    image = fat_image.new(tmp_path / "disk.img", mib=300, sectors_per_cluster=8)
    drive = f"-drive if=none,id=d,format=raw,file={image},throttling.bps-write=1048576 "
    done = corral(programs / "volume_large", "slow", "/mnt", harts=harts, append="audit=on mount=vda:/mnt", timeout=120,
                  options=["--qemu-args", drive + "-global virtio-mmio.force-legacy=false -device virtio-blk-device,drive=d"])
    print(done.out)
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.read(image, "slow") == b"s" * (4 << 20)


def test_big_volume(corral, programs, tmp_path):
    """8 GiB (of which the host keeps what was written), clusters of 64 KiB, and a file behind the first 4 GiB."""
    image = fat_image.new(tmp_path / "disk.img", mib=8192, sectors_per_cluster=128)
    done = corral(programs / "volume_large", "big", "/mnt", append="audit=on", options=["--disk", f"{image}:/mnt"], timeout=120)
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.read(image, "directory/small") == b"small"
    assert fat_image.read(image, "far") == bytes((i * 7 + (i >> 9)) & 0xff for i in range(300000))


@pytest.mark.parametrize("harts", (1, 4))
def test_odd(corral, programs, tmp_path, harts):
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(programs / "volume_large", "odd", "/mnt", harts=harts, append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.names(image) == []


def free_counts(image):
    """What FSInfo says is free, and what the FAT says."""
    with open(image, "rb") as file:
        boot, info = file.read(512), file.read(512)
        file.seek(int.from_bytes(boot[14:16], "little") * 512)
        table = file.read(int.from_bytes(boot[36:40], "little") * 512)
    start = int.from_bytes(boot[14:16], "little") + boot[16] * int.from_bytes(boot[36:40], "little")
    clusters = (int.from_bytes(boot[32:36], "little") - start) // boot[13]
    entries = (int.from_bytes(table[4 * i:4 * i + 4], "little") & 0xfffffff for i in range(2, clusters + 2))
    return int.from_bytes(info[488:492], "little"), sum(entry == 0 for entry in entries)


def test_free_count(corral, programs, tmp_path):
    """After a clean stop FSInfo has the right number, which others believe."""
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(programs / "disk_writer", "7", "/mnt", "60", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0, done
    said, counted = free_counts(image)
    assert said == counted and fat_image.is_clean(image)


def test_dirty_stays_dirty(corral, programs, tmp_path):
    """A volume that was not unmounted is said to be so, is used, and stays marked until fsck.fat has seen it."""
    image = fat_image.new(tmp_path / "disk.img")
    with open(image, "r+b") as file:
        file.seek(0x41)
        file.write(b"\x01")
    for _ in range(2):
        done = corral(programs / "disk_writer", "7", "/mnt", "20", options=["--disk", f"{image}:/mnt"])
        assert done.status == 0, done
        assert len(re.findall(r"fat: the volume [0-9a-f]{8} was not unmounted", done.log)) == 1, done.log
        with open(image, "rb") as file:
            assert file.read(0x42)[0x41] == 1
        assert fat_image.damage(image) == []
        subprocess.run(["mdel", "-i", str(image), "::*"], check=False, stdin=subprocess.DEVNULL)
    subprocess.run(["fsck.fat", "-a", str(image)], check=False, stdout=subprocess.DEVNULL)
    done = corral(programs / "disk_writer", "8", "/mnt", "20", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0 and "was not unmounted" not in done.log, done
