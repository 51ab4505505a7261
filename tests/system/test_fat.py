"""Files on a FAT32 image: what is written here is read by mtools and passes fsck.fat, and the other way round."""
import os
import random
import subprocess

import pytest

from tests.system import fat_image

SEED = int(os.environ.get("CORRAL_SEED", random.randrange(1, 1 << 30)))
pytestmark = fat_image.needs_tools


def disk(image, at="/mnt"):
    return ["--disk", f"{image}:{at}"]


def fsx_sum(data):
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xffffffff
    return total


@pytest.mark.parametrize("harts", (1, 4))
@pytest.mark.parametrize("cluster", (1, 8, 64))
def test_fsx(corral, programs, tmp_path, harts, cluster):
    print(f"CORRAL_SEED={SEED}")
    image = fat_image.new(tmp_path / "disk.img", mib=max(64, 34 * cluster), sectors_per_cluster=cluster)
    done = corral(programs / "fsx", str(SEED), "/mnt", "1500", "keep", harts=harts, options=disk(image), append="audit=on",
                  timeout=120)
    assert done.status == 0 and done.out.endswith("ok\n"), done
    size, total = map(int, done.out.split()[:2])
    data = fat_image.read(image, "fsx.data")
    assert (len(data), fsx_sum(data)) == (size, total)
    assert fat_image.is_clean(image)


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_file_storm(corral, programs, tmp_path, harts):
    print(f"CORRAL_SEED={SEED}")
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(programs / "file_storm", str(SEED), "/mnt", "150", harts=harts, options=disk(image), append="audit=on",
                  timeout=120)
    assert done.status == 0 and done.out.endswith("ok\n"), done
    assert fat_image.is_clean(image)


def test_append_and_sync(corral, programs, tmp_path):
    """The writer clears what is behind the end, and nothing that was just appended."""
    image = fat_image.new(tmp_path / "disk.img")
    done = corral(programs / "file_append", "/mnt", "200", harts=8, options=disk(image), timeout=120)
    assert done.status == 0 and done.out.endswith("ok\n"), done
    assert fat_image.is_clean(image)


def test_debugger(corral, programs, tmp_path):
    """/proc/PID/mem reads pages in."""
    done = corral(programs / "file_force", "/mnt", options=disk(fat_image.new(tmp_path / "disk.img")), append="audit=on")
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


def test_what_a_pc_wrote(corral, programs, tmp_path):
    """Long names, directories, and files of every awkward size."""
    image = fat_image.new(tmp_path / "disk.img")
    dice = random.Random(SEED)
    subprocess.run(["mmd", "-i", str(image), "::A directory with a long name"], check=True)
    wanted = {}
    for size in (0, 1, 511, 512, 513, 4095, 4096, 4097, 100000):
        name = f"A directory with a long name/Größe {size}.bin"
        wanted[name] = dice.randbytes(size)
        fat_image.write(image, name, wanted[name])
    for name, data in wanted.items():
        done = corral(programs / "cat", "/mnt/" + name, options=disk(image), text=False)
        assert done.status == 0 and done.out == data, (name, done.err)
    assert fat_image.is_clean(image)
