"""What sharing costs, counted: frames, faults, and what disks are asked for. On 1 to 8 harts, on tmpfs and on a FAT volume."""
import pytest

from tests.system import fat_image

HARTS = pytest.mark.parametrize("harts", (1, 2, 4, 8))
MIB = 8


def check(done):
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


@pytest.fixture
def card(tmp_path):
    """A FAT32 with a file of 8 MiB."""
    image = fat_image.new(tmp_path / "card.img")
    fat_image.write(image, "file", bytes(MIB << 20))
    return image


@HARTS
@pytest.mark.parametrize("place", ("/tmp", "/mnt"))
@fat_image.needs_tools
def test_frames(corral, programs, card, harts, place):
    """Who reads, maps or inherits a file has the cache's frames; a private page has its own when it is written to, and loses it again."""
    check(corral(programs / "sharing", "frames", place, harts=harts, append="audit=on", options=["--disk", f"{card}:/mnt"]))
    assert fat_image.is_clean(card)


@HARTS
@pytest.mark.parametrize("mode", ("fork", "clones"))
def test_memory(corral, programs, harts, mode):
    check(corral(programs / "sharing", mode, "/tmp", harts=harts, append="audit=on"))


@HARTS
@pytest.mark.parametrize("mode", ("cached", "clean", "forms", "later"))
@fat_image.needs_tools
def test_disk(corral, programs, card, harts, mode):
    check(corral(programs / "sharing", mode, "/mnt/file", harts=harts, append="audit=on", options=["--disk", f"{card}:/mnt"]))
    assert fat_image.is_clean(card)
    data = fat_image.read(card, "file")
    assert mode != "forms" or all(data[4096 * i:4096 * i + 6] == f"form {i}".encode() for i in (0, 1, 2, 3, 4, 5, 8, 9)), data[:9 * 4096]
    assert mode != "later" or data.startswith(b"later")
