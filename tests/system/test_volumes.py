"""FAT volumes in the file tree: names, errors, full disks, mounts, two of them, RAM disks, a busybox."""
import re
import struct
import subprocess

import pytest

from tests.conftest import CORRAL
from tests.system import fat_image

pytestmark = fat_image.needs_tools


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_names(corral, programs, tmp_path, harts):
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(programs / "volume", "names", "/mnt", harts=harts, append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.names(image) == []


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_full(corral, programs, tmp_path, harts):
    """ENOSPC comes from write, what was written is there, and all of it is free again afterwards."""
    image = fat_image.new(tmp_path / "disk.img", mib=34)
    done = corral(programs / "volume", "full", "/mnt", harts=harts, append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.names(image) == []


def test_mounts(corral, programs, tmp_path):
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(programs / "volume", "mounts", "/dev/vda", "/tmp", append="audit=on", options=["--disk", f"{image}:"])
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.read(image, "file") == b"on the disk"


def test_no_holes(corral, programs, tmp_path):
    """What is on the disk and not yet in memory is data to SEEK_DATA."""
    image = fat_image.new(tmp_path / "disk.img")
    fat_image.write(image, "file", b"x" * 100000)
    done = corral(programs / "volume", "content", "/mnt/file", append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0, done
    assert fat_image.is_clean(image) and fat_image.read(image, "file") == b"x" * 100000 + bytes(100000)


def test_read_only(corral, programs, tmp_path):
    image = fat_image.new(tmp_path / "disk.img")
    fat_image.write(image, "file", b"from outside")
    before = image.read_bytes()
    done = corral(programs / "volume", "readonly", "/mnt", append="audit=on", options=["--disk", f"{image}:/mnt:ro"])
    assert done.status == 0, done
    assert image.read_bytes() == before


def test_one_in_the_other(corral, programs, tmp_path):
    """The second is mounted on a directory of the first, which is made for it."""
    images = [fat_image.new(tmp_path / name) for name in ("a.img", "b.img")]
    done = corral(programs / "volume", "two", "/mnt", "/mnt/Below", harts=4, append="audit=on",
                  options=["--disk", f"{images[0]}:/mnt", "--disk", f"{images[1]}:/mnt/Below"])
    assert done.status == 0, done
    assert [fat_image.read(image, "file") for image in images] == [b"first", b"second"]
    assert all(map(fat_image.is_clean, images))


def test_ram_disk(corral, programs, tmp_path):
    image = fat_image.new(tmp_path / "disk.img", mib=40)
    fat_image.write(image, "hello", b"from the initramfs")
    done = corral(programs / "cat", "/card/hello", append="audit=on ramdisk=/disk.img mount=ram0:/card", mem="512M",
                  files=[f"{image}:/disk.img"])
    assert done.status == 0 and done.out == "from the initramfs", done


def failing(image, rules, event, sector):
    """Options for a disk where one sector fails."""
    rules.write_text(f'[inject-error]\nevent = "{event}"\nerrno = "5"\nsector = "{sector}"\n')
    return ["--qemu-args", f"-drive if=none,id=d,format=raw,file=blkdebug:{rules}:{image},rerror=report,werror=report "
                           "-global virtio-mmio.force-legacy=false -device virtio-blk-device,drive=d"]


def test_failing_reads(corral, programs, tmp_path):
    """blkdebug fails a sector of one file: EIO for that one, and the others are read."""
    image = fat_image.new(tmp_path / "disk.img")
    for name in ("one", "two", "three"):
        fat_image.write(image, name, name.encode() * 300)
    sector = image.read_bytes().index(b"two" * 100) // 512
    done = corral(programs / "walk", "/mnt", append="audit=on mount=vda:/mnt",
                  options=failing(image, tmp_path / "rules", "read_aio", sector))
    assert done.status == 0 and "read /mnt/two: Input/output error" in done.out, done
    assert "3 names, 2400 bytes, 1 failures" in done.out, done
    assert fat_image.is_clean(image)


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_failing_writes(corral, programs, tmp_path, harts):
    """A page of a file cannot be written: EIO to each that has it open, and nothing else is lost."""
    image = fat_image.new(tmp_path / "disk.img")
    fat_image.write(image, "one", b"before")
    fat_image.write(image, "two", b"o" * 4096 + b"MARK" + b"o" * 8188)
    sector = image.read_bytes().index(b"oMARK") // 512 + 1
    done = corral(programs / "volume", "errors", "/mnt", append="audit=on mount=vda:/mnt", harts=harts,
                  options=failing(image, tmp_path / "rules", "pwritev", sector))
    assert done.status == 0, done
    assert fat_image.damage(image) == [] and fat_image.read(image, "one") == b"written"
    data = fat_image.read(image, "two")
    assert data[:4096] == b"n" * 4096 and data[8192:] == b"n" * 4096 and data[4096:4100] == b"MARK"


def card(path, volume, table):
    """A disk with one FAT volume behind something else, as a PC or a camera makes it."""
    first = 4096
    with open(path, "wb") as file:
        file.truncate((first << 9) + volume.stat().st_size + (1 << 20))
    if table == "mbr":
        entries = b"".join(struct.pack("<B3xB3xII", *entry) for entry in (
            (0, 0x83, 2048, 2048), (0x80, 0x0c, first, volume.stat().st_size >> 9)))
        with open(path, "r+b") as file:
            file.seek(446)
            file.write(entries + bytes(32) + b"\x55\xaa")
    else:
        subprocess.run(["sgdisk", "-n", "1:2048:4095", "-t", "1:8300", "-n", f"3:{first}:0", "-t", "3:0700", str(path)],
                       check=True, stdout=subprocess.DEVNULL)
    with open(path, "r+b") as file:
        file.seek(first << 9)
        file.write(volume.read_bytes())
    return path


@pytest.mark.parametrize("table", ("gpt", "mbr"))
def test_card(corral, programs, tmp_path, table):
    """The partition for FAT is found, whichever it is; --disk takes names with colons and commas."""
    volume = fat_image.new(tmp_path / "part.img", mib=40)
    fat_image.write(volume, "hello", b"from a card")
    image = card(tmp_path / "a, card:ro", volume, table)
    done = corral(programs / "cat", "/mnt/hello", append="audit=on", options=["--disk", str(image)])
    assert done.status == 0 and done.out == "from a card", done
    assert f"mount: vda{2 if table == 'mbr' else 3} at /mnt" in done.log, done


SCRIPT = r"""
cd /mnt && mkdir -p a/b/c && echo one > a/b/c/file && cp -r a copy && mv copy/b/c/file copy/moved &&
cat copy/moved a/b/c/file && ls -l a/b/c && df . | tail -n 1 && rm -r a && find . | sort && mount | grep vfat && dd if=/dev/zero of=zeros bs=1k count=300 2>/dev/null && wc -c zeros
"""


def test_busybox(corral, tmp_path):
    fetched = subprocess.run([str(CORRAL.parent / "fetch"), "deb", "busybox-static", "busybox-static"],
                             capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip("busybox-static:riscv64 is not to be had")
    busybox = next(CORRAL.parent.parent.glob("build/debian/**/bin/busybox"), None)
    if busybox is None:
        pytest.skip("busybox is not where it was fetched")
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(busybox, "sh", "-c", SCRIPT, append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert done.status == 0, done
    assert done.out.startswith("one\none\ntotal 1\n-rwxr-xr-x    1 0        0                4 "), done
    assert re.search(r"^\./copy\n\./copy/b\n\./copy/b/c\n\./copy/moved$", done.out, re.M), done
    assert "/dev/vda on /mnt type vfat (rw)" in done.out and done.out.endswith("307200 zeros\n"), done
    assert fat_image.is_clean(image) and fat_image.read(image, "copy/moved") == b"one\n"
