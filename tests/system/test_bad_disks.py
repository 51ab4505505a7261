"""Disks that fail in the middle, that are full, that stop, and whose sectors are of 4 KiB: what programs see, and what is on them then."""
import struct
import subprocess
import uuid
import zlib

import pytest

from tests.system import fat_image
from test_disk import by_hand, pattern

pytestmark = fat_image.needs_tools
EIO = "-1 Input/output error"
NOSPC = "-1 No space left on device"


def steps(done):
    """What came of each step."""
    assert done.status == 0 and "audit: ok" in done.log, done
    return [line.split(" ", 1)[1].rstrip() for line in done.out.splitlines()]


def rule(path, event, number=5, sector=None, turn=None):
    """blkdebug's: that event fails, of that sector; always, or once: from the turn-th such event on the first that is of it."""
    text = "".join(f'[set-state]\nevent = "{event}"\nstate = "{i}"\nnew_state = "{i + 1}"\n\n' for i in range(1, turn or 1))
    text += f'[inject-error]\nevent = "{event}"\nerrno = "{number}"\nonce = "{"on" if turn else "off"}"\nstate = "{turn or 0}"\n'
    path.write_text(text + (f'sector = "{sector}"\n' if sector is not None else ""))
    return path


def failing(image, path, kind="modern"):
    return by_hand(image, kind, ",rerror=report,werror=report", front=f"file=blkdebug:{path}:")


@pytest.fixture
def card(tmp_path):
    """A FAT32 with two files, of which one is for the test."""
    image = fat_image.new(tmp_path / "card.img")
    fat_image.write(image, "other", b"other" * 1000)
    fat_image.write(image, "file", bytes(65536))
    return image


def check(image):
    """Nothing but what the test wrote to has changed."""
    assert fat_image.damage(image) == [] and fat_image.read(image, "other") == b"other" * 1000


@pytest.mark.parametrize("harts,turn", ((1, 2), (2, 2), (4, 2), (8, 2), (4, 1), (4, 3), (4, 4)))
def test_flush_fails(corral, programs, card, tmp_path, harts, turn):
    """
    EIO from the fsync whose flush failed, once for each open file and from msync; and then it is all there. The first flush is that of the volume's
    mark, which writing back does again.
    """
    done = corral(programs / "disk", "steps", "/mnt/file", "m64", "f", "f", "F", "F", "s", harts=harts,
                  append="audit=on mount=vda:/mnt", options=failing(card, rule(tmp_path / "r", "flush_to_disk", turn=turn)))
    said = steps(done)
    # a third one is the fsync's where the file's time has changed, and else the end's
    assert said[1] == (EIO if turn == 2 else "0") or (turn == 3 and said[1] == EIO), done
    assert said == ["0", said[1], "0", said[1], "0", said[1]], done
    check(card)
    assert fat_image.read(card, "file") == pattern(16)


def sector_of(image, page):
    """Of the page of `file` of card(), which has one run behind the other's."""
    return image.read_bytes().index(b"other" * 100) // 512 + 10 + page * 8


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_write_fails_once(corral, programs, card, tmp_path, harts):
    """EIO from msync and from fsync, once for each open file; then it is there."""
    rules = rule(tmp_path / "r", "pwritev", sector=sector_of(card, 0), turn=1)
    done = corral(programs / "disk", "steps", "/mnt/file", "m4", "s", "s", "f", "f", "F", "F", harts=harts,
                  append="audit=on mount=vda:/mnt", options=failing(card, rules))
    assert steps(done) == ["0", EIO, "0", EIO, "0", EIO, "0"], done
    check(card)
    assert fat_image.read(card, "file") == pattern(1) + bytes(61440)


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_write_fails(corral, programs, card, tmp_path, harts):
    """A sector that cannot be written: EIO from each that tries anew, and the rest of the file is there."""
    done = corral(programs / "disk", "steps", "/mnt/file", "m64", "s", "F", "o", "f", harts=harts, append="audit=on mount=vda:/mnt",
                  options=failing(card, rule(tmp_path / "r", "pwritev", sector=sector_of(card, 8))))
    assert steps(done) == ["0", EIO, EIO, "0", EIO], done
    check(card)
    data = fat_image.read(card, "file")
    assert [at // 4096 for at in range(0, 65536, 4096) if data[at:at + 4096] != pattern(16)[at:at + 4096]] == [8]


@pytest.mark.parametrize("harts", (1, 4))
def test_read_fails(corral, programs, card, tmp_path, harts):
    """SIGBUS from a mapping, EIO from read, each time; once the disk reads again, all is well."""
    done = corral(programs / "disk", "steps", "/mnt/file", "M64", "M64", "r64", "r64", "r64", harts=harts,
                  append="audit=on mount=vda:/mnt", options=failing(card, rule(tmp_path / "r", "read_aio", sector=sector_of(card, 8))))
    said = steps(done)
    assert said[:2] == ["-2 SIGBUS"] * 2 and int(said[2]) < 65536 and said[3:] == [EIO] * 2, done
    check(card)


@pytest.mark.parametrize("harts", (1, 4))
def test_fat_fails(corral, programs, card, tmp_path, harts):
    """The FAT's own sectors cannot be written: EIO from who grows a file; what was there is."""
    done = corral(programs / "disk", "steps", "/mnt/new", "w64", "f", harts=harts, append="audit=on mount=vda:/mnt",
                  options=failing(card, rule(tmp_path / "r", "pwritev", sector=33)))
    assert EIO in steps(done), done
    check(card)
    assert fat_image.read(card, "file") == bytes(65536)


@pytest.mark.parametrize("harts", (1, 4))
def test_stops(corral, programs, card, harts):
    """A disk that reads, and never answers a write: EIO, one line, and what is in memory stays readable."""
    fat_image.write(card, "file", bytes(8 << 20))
    done = corral(programs / "disk", "steps", "/mnt/file", "M32", "m32", "s", "f", "M32", "w8", "M8192", harts=harts,
                  append="audit=on mount=vda:/mnt disk-timeout=2", options=by_hand(card, "modern", ",throttling.bps-write=1"))
    said = steps(done)
    assert said[:2] == ["0"] * 2 and said[2] == EIO and said[4] == "0" and said[6] == "-2 SIGBUS", done
    assert done.log.count("vda: it does not answer: the disk is out of use") == 1, done


def test_host_is_full(corral, programs, tmp_path):
    """The image lies where there is no room for what is written: EIO in the guest, rather than a machine that stands still."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "none", place], check=False, capture_output=True).returncode:
        pytest.skip("may not mount a tmpfs")
    try:
        image = fat_image.new(place / "card.img")
        fat_image.write(image, "other", b"other" * 1000)
        done = corral(programs / "disk", "steps", "/mnt/file", "w4096", "f", "f", append="audit=on",
                      options=["--disk", f"{image}:/mnt"])
        assert steps(done) == [str(4 << 20), EIO, EIO], done
        check(image)
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("harts", (1, 4))
def test_full(corral, programs, tmp_path, harts):
    """ENOSPC from write and from ftruncate; a mapping of what is there can be written to, and is never SIGBUS for want of room."""
    image = fat_image.new(tmp_path / "card.img")
    fat_image.write(image, "file", bytes(65536))
    fat_image.write(image, "filler", bytes((62 << 20) - 65536))
    done = corral(programs / "disk", "steps", "/mnt/file", "t8192", "w8192", "w8", "m64", "s", "f", harts=harts, append="audit=on",
                  options=["--disk", f"{image}:/mnt"])
    said = steps(done)
    assert said[0] == NOSPC and 0 < int(said[1]) < 8 << 20 and said[2:] == [NOSPC, "0", "0", "0"], done
    assert fat_image.is_clean(image) and fat_image.read(image, "file")[:65536] == pattern(16)


def gpt(path, volume, sector, last=None):
    """A disk with one FAT volume at sector 256; last: what the table says is its end. sgdisk makes tables of 512 bytes only."""
    count = 256 + -(-volume.stat().st_size // sector) + 64
    last = last or count - 1
    first, kind = 256, uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
    entries = struct.pack("<16s16sQQ56x", kind.bytes_le, uuid.uuid4().bytes_le, first, last - 63).ljust(128 * 128, b"\0")
    array = -(-len(entries) // sector)

    def header(own, other, at):
        def packed(crc):
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, own, other, 2 + array, last - array - 1,
                               bytes(16), at, 128, 128, zlib.crc32(entries))
        return packed(zlib.crc32(packed(0))).ljust(sector, b"\0")
    mbr = bytes(446) + struct.pack("<B3xB3xII", 0, 0xee, 1, count - 1) + bytes(48) + b"\x55\xaa"
    with open(path, "wb") as file:
        file.truncate(count * sector)
        for at, data in ((0, mbr), (1, header(1, last, 2)), (2, entries), (first, volume.read_bytes())):
            file.seek(at * sector)
            file.write(data)
        if last == count - 1:
            file.seek((last - array) * sector)
            file.write(entries.ljust(array * sector, b"\0") + header(last, 1, last - array))
    return path


@pytest.mark.parametrize("kind", ("modern", "legacy"))
@pytest.mark.parametrize("table", (False, True))
def test_blocks_of_4096(corral, programs, tmp_path, kind, table):
    """logical_block_size=4096: a GPT and a FAT of such sectors are found, read, and written."""
    volume = tmp_path / "volume.img"
    with open(volume, "wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.fat", "-F", "32", "-S", "4096", "-s", "1", str(volume)], check=True, stdout=subprocess.DEVNULL)
    fat_image.write(volume, "other", b"other" * 1000)
    image = gpt(tmp_path / "disk.img", volume, 4096) if table else volume
    done = corral(programs / "disk", "steps", "/mnt/file", "w64", "f", append="audit=on mount=vda:/mnt",
                  options=by_hand(image, kind, device=",logical_block_size=4096,physical_block_size=4096"))
    assert steps(done) == ["65536", "0"], done
    assert f"mount: vda{'1' if table else ''} at /mnt" in done.log, done
    if table:
        data = image.read_bytes()
        volume.write_bytes(data[256 * 4096:256 * 4096 + (320 << 20)])
    assert fat_image.is_clean(volume) and fat_image.read(volume, "file") == pattern(16)
    assert fat_image.read(volume, "other") == b"other" * 1000


def test_first_table_damaged(corral, programs, card, tmp_path):
    """The copy serves, and the line says what to do; which sgdisk then does."""
    image = gpt(tmp_path / "disk.img", card, 512)
    with open(image, "r+b") as file:
        file.seek(512 + 40)
        file.write(b"\xff")
    done = corral(programs / "disk", "steps", "/mnt/file", "r64", append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert steps(done) == ["65536"], done
    assert "vda: GPT: the header's checksum is wrong; its copy at the disk's end is used (sgdisk -e writes both)" in done.log, done
    subprocess.run(["sgdisk", "-e", str(image)], check=True, capture_output=True)
    done = corral(programs / "disk", "steps", "/mnt/file", "r64", append="audit=on", options=["--disk", f"{image}:/mnt"])
    assert steps(done) == ["65536"] and "GPT: the header" not in done.log, done


@pytest.mark.parametrize("what,why", (
    ("cut table", "GPT: the disk is shorter than its table says"),
    ("both tables", "GPT: the header's checksum is wrong"),
    ("cut volume", "FAT: the volume is larger than the disk: an image that was cut off"),
    ("noise", "there is neither a partition table nor a FAT volume (mkfs.fat -F 32 makes one)"),
    ("FAT16", "FAT12 or FAT16: only FAT32 is supported (mkfs.fat -F 32 makes one)"),
    ("no bytes", "the disk's sector size is not 512 to 4096 bytes, or it is empty"),
))
def test_what_the_line_says(corral, programs, card, tmp_path, what, why):
    """Of a disk that cannot be mounted: one line on the program's standard error, and the machine goes on."""
    image = tmp_path / "disk.img"
    if what == "cut volume":
        image = card
    elif what in ("noise", "no bytes"):
        image.write_bytes(b"noise" * 4096 if what == "noise" else b"")
    elif what == "FAT16":
        subprocess.run(["mkfs.fat", "-C", "-F", "16", str(image), "16384"], check=True, stdout=subprocess.DEVNULL)
    else:
        gpt(image, card, 512)
    with open(image, "r+b") as file:
        if what.startswith("cut"):
            file.truncate(20 << 20)
        for place in (512 + 40, image.stat().st_size - 512 + 40) if what == "both tables" else ():
            file.seek(place)
            file.write(b"\xff")
    options = by_hand(image, "modern") if what == "no bytes" else ["--disk", f"{image}:"]
    done = corral(programs / "cat", "/proc/cmdline", append="mount=vda:/mnt", options=options)
    assert done.status == 0 and done.err == f"corral: cannot mount vda at /mnt: {why}\n", done


def test_nobody_writes_to_memory_instead(corral, programs, tmp_path):
    """A program that wants to write to a disk that could not be mounted is told so, as its place is not there; the other one's is."""
    noise, good = tmp_path / "noise.img", fat_image.new(tmp_path / "good.img")
    noise.write_bytes(b"noise" * 4096)
    options = ["--disk", f"{noise}:/mnt/a", "--disk", f"{good}:/mnt/b"]
    done = corral(programs / "disk", "steps", "/mnt/b/file", "w4", append="audit=on", options=options)
    assert done.status == 0 and "cannot mount vda at /mnt/a" in done.err, done
    assert len(fat_image.read(good, "file")) == 4096
    done = corral(programs / "disk", "steps", "/mnt/a/file", "w4", append="audit=on", options=options)
    assert done.status not in (0, 125) and "cannot mount vda at /mnt/a" in done.err, done
