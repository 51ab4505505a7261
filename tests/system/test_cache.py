"""The page cache on a disk: many processes against a model, more dirty pages than memory, errors, slow disks."""
import secrets
import subprocess

import pytest

from test_disk import by_hand


@pytest.fixture
def image(tmp_path):
    def make(mib):
        path = tmp_path / "disk.img"
        with open(path, "wb") as file:
            file.truncate(mib << 20)
        return path
    return make


@pytest.fixture
def fat_file(tmp_path):
    """fat_file(MiB): an image with a FAT32 file system, and in it `file`, of zeros."""
    def make(mib):
        path, content = tmp_path / "fat.img", tmp_path / "file"
        for name, size in ((path, mib + 48), (content, mib)):
            with open(name, "wb") as file:
                file.truncate(size << 20)
        subprocess.run(["mkfs.fat", "-F", "32", path], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["mcopy", "-i", path, content, "::file"], check=True)
        return path
    return make


@pytest.mark.parametrize("harts", (1, 8))
def test_storm_without_memory(corral, programs, fat_file, harts):
    """A coherence storm with forks, while two processes go through a file longer than memory: no call fails for want of it."""
    path = fat_file(120)
    done = corral(programs / "beside", "/disk/file", "/file_storm", str(secrets.randbelow(1 << 30)), "/disk", "2500", "4",
                  harts=harts, mem="64M", timeout=150, append="audit=on",
                  options=["--disk", f"{path}:/disk", "--file", f"{programs / 'file_storm'}:/file_storm"])
    assert done.status == 0 and "audit: ok" in done.log, done
    check_fat(path)


@pytest.mark.parametrize("harts", (1, 4))
def test_fragments(corral, programs, image, harts):
    """A fork needs frames that lie side by side, for a stack: where only the cache's pages are between free ones, they go."""
    check(corral(programs / "cache", "fragments", "/dev/vda", "500", harts=harts, mem="64M", timeout=60, append="audit=on",
                 options=["--disk", f"{image(100)}:"]))


def check_fat(path):
    subprocess.run(["fsck.fat", "-n", path], check=True, stdout=subprocess.DEVNULL)


def check(done):
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_coherent(corral, programs, image, harts):
    """Processes that map, read, write, sync and forget the same pages; at the end the image is what they wrote."""
    check(corral(programs / "cache", "coherent", "/dev/vda", "8", "8", str(secrets.randbelow(1 << 30)), harts=harts,
                 append="audit=on", options=["--disk", f"{image(4)}:"]))


@pytest.mark.parametrize("harts", (1, 8))
def test_flood(corral, programs, image, harts):
    """Four times the memory is made dirty: slowed down, and nobody is ended for it."""
    check(corral(programs / "cache", "flood", "/dev/vda", harts=harts, mem="64M", timeout=150, append="audit=on",
                 options=["--disk", f"{image(256)}:"]))


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_reclaim(corral, programs, image, harts):
    check(corral(programs / "cache", "reclaim", "/dev/vda", "100", harts=harts, mem="128M", append="audit=on",
                 options=["--disk", f"{image(256)}:"]))


@pytest.mark.parametrize("harts", (1, 4))
@pytest.mark.parametrize("way", ("0", "1"))
def test_stream(corral, programs, image, way, harts):
    """What is used stays, while four times the memory goes by."""
    check(corral(programs / "cache", "stream", "/dev/vda", way, harts=harts, mem="64M", timeout=120, append="audit=on",
                 options=["--disk", f"{image(256)}:"]))


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_copies(corral, programs, image, harts):
    check(corral(programs / "cache", "copies", "/dev/vda", harts=harts, append="audit=on",
                 options=["--disk", f"{image(16)}:"]))


@pytest.mark.parametrize("harts", (1, 8))
@pytest.mark.parametrize("mode", ("sleep", "kill"))
def test_slow(corral, programs, image, mode, harts):
    check(corral(programs / "cache", mode, "/dev/vda", harts=harts, append="audit=on",
                 options=by_hand(image(16), "modern", ",throttling.iops-total=10")))


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_errors(corral, programs, image, tmp_path, harts):
    """Reads that fail are SIGBUS or EIO, each time; a write that fails once is EIO once for each open file, and then is there."""
    path = image(4)
    rules = tmp_path / "rules"
    rules.write_text('[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "800"\n\n' + "".join(
        f'[inject-error]\nevent = "pwritev"\nerrno = "5"\nsector = "{sector}"\nonce = "on"\n\n' for sector in (2400, 2912)))
    check(corral(programs / "cache", "errors", "/dev/vda", "100", "300", harts=harts, append="audit=on",
                 options=by_hand(path, "modern", ",rerror=report,werror=report", front=f"file=blkdebug:{rules}:")))
    data = path.read_bytes()
    assert int.from_bytes(data[300 * 4096:300 * 4096 + 8], "little") == 1234
    assert int.from_bytes(data[364 * 4096:364 * 4096 + 8], "little") == 4321


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_coherent_file(corral, programs, fat_file, harts):
    path = fat_file(4)
    check(corral(programs / "cache", "coherent", "/disk/file", "8", "6", str(secrets.randbelow(1 << 30)), harts=harts,
                 append="audit=on", options=["--disk", f"{path}:/disk"]))
    check_fat(path)


@pytest.mark.parametrize("harts", (1, 4))
def test_flood_file(corral, programs, fat_file, harts):
    path = fat_file(200)
    check(corral(programs / "cache", "flood", "/disk/file", harts=harts, mem="64M", timeout=150, append="audit=on",
                 options=["--disk", f"{path}:/disk"]))
    check_fat(path)


@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_copies_file(corral, programs, fat_file, harts):
    path = fat_file(16)
    check(corral(programs / "cache", "copies", "/disk/file", harts=harts, append="audit=on",
                 options=["--disk", f"{path}:/disk"]))
    check_fat(path)
