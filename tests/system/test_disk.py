"""Disks: virtio of both kinds and RAM disks, from many processes; errors, silence, what is wrong on the command line."""
import re
import shutil
import subprocess
import time

import pytest

KINDS = ("modern", "legacy")


def pattern(blocks):
    """What disk.c writes."""
    out = bytearray()
    for at in range(0, blocks * 4096, 8):
        word = ((at >> 3) * 0x9e3779b97f4a7c15 + 12345 & 0xffffffffffffffff) >> 32
        out += bytes(word >> bit & 0xff for bit in range(8))
    return bytes(out)


@pytest.fixture
def image(tmp_path):
    """image(name, MiB) -> its path; all zeros."""
    def make(name="disk.img", mib=4):
        path = tmp_path / name
        with open(path, "wb") as file:
            file.truncate(mib << 20)
        return path
    return make


def by_hand(image, kind, drive="", device="", front="file="):
    """Options for a disk that corral's own --disk cannot describe."""
    return ["--qemu-args", f"-global virtio-mmio.force-legacy={'true' if kind == 'legacy' else 'false'} "
                           f"-drive if=none,id=d,format=raw,{front}{image}{drive} -device virtio-blk-device,drive=d{device}"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harts", (1, 2, 4, 8))
def test_many_processes(corral, programs, image, harts, kind):
    path = image()
    done = corral(programs / "disk", "fill", "/dev/vda", "8", "600", harts=harts, append="audit=on",
                  options=["--disk", f"{path}:", "--virtio", kind])
    assert done.status == 0, done
    assert path.read_bytes()[:600 * 4096] == pattern(600)
    assert f"virtio {kind}" in done.log


@pytest.mark.parametrize("device", ("", ",logical_block_size=4096,physical_block_size=4096", ",indirect_desc=off",
                                    ",event_idx=off", ",queue-size=8", ",queue-size=4,indirect_desc=off,event_idx=off",
                                    ",write-cache=off"))
@pytest.mark.parametrize("kind", KINDS)
def test_devices(corral, programs, image, kind, device):
    path = image()
    done = corral(programs / "disk", "fill", "/dev/vda", "4", "300", append="audit=on",
                  options=by_hand(path, kind, device=device))
    assert done.status == 0, done
    assert path.read_bytes()[:300 * 4096] == pattern(300)


@pytest.mark.parametrize("kind", KINDS)
def test_two_disks(corral, programs, image, kind):
    paths = [image("a.img"), image("b.img", 8)]
    options = [word for path in paths for word in ("--disk", f"{path}:")]
    done = corral(programs / "disk", "both", "/dev/vda,/dev/vdb", "4", "400", harts=4, append="audit=on",
                  options=[*options, "--virtio", kind])
    assert done.status == 0, done
    assert all(path.read_bytes()[:400 * 4096] == pattern(400) for path in paths)
    assert re.search("vda: 4 MiB.*vdb: 8 MiB", done.log, re.DOTALL)


def test_ram_disks(corral, programs):
    done = corral(programs / "disk", "both", "/dev/ram0,/dev/ram1", "8", "200", harts=4, append="audit=on ramdisk=1M,16M")
    assert done.status == 0, done


def test_ram_disk_image(corral, programs, image):
    """One that is no whole number of pages."""
    path = image()
    with open(path, "r+b") as file:
        file.write(pattern(200))
        file.truncate(200 * 4096 + 512)
    done = corral(programs / "disk", "compare", "/dev/ram1", "1", "200", append="audit=on ramdisk=64K,/a/b.img",
                  files=[f"{path}:/a/b.img"])
    assert done.status == 0 and done.out == f"end {200 * 4096 + 512}\n", done
    assert corral(programs / "disk", "info", "/dev/ram0", append="ramdisk=/a/c.img", files=[f"{path}:/a/b.img"]).status == 125


@pytest.mark.parametrize("where", ("/dev/vda", "/dev/ram0"))
def test_ends(corral, programs, image, where):
    done = corral(programs / "disk", "ends", where, append="audit=on ramdisk=64K", options=["--disk", f"{image()}:"])
    assert done.status == 0, done


@pytest.mark.parametrize("kind", KINDS)
def test_info(corral, programs, image, kind):
    done = corral(programs / "disk", "info", "/dev/vdb", append="audit=on",
                  options=["--disk", f"{image()}:", "--disk", f"{image('b.img', 3)}::ro", "--virtio", kind])
    assert done.out == f"block 254:16 bytes={3 << 20} sectors={3 << 11} block=512 read_only=1 end={3 << 20}\n", done


@pytest.mark.skipif(shutil.which("sgdisk") is None, reason="needs gdisk (make setup)")
def test_partitions(corral, programs, image):
    """Partitions are disks of their own; the second table serves where the first is damaged, and a line says so."""
    path, damaged = image(), image("damaged.img")
    for disk in (path, damaged):
        subprocess.run(["sgdisk", "-n", "1:2048:+1M", "-n", "3:0:+1M", str(disk)], check=True, stdout=subprocess.DEVNULL)
    with open(damaged, "r+b") as file:
        file.seek(520)
        file.write(b"?")
    before = path.read_bytes()
    done = corral(programs / "disk", "both", "/dev/vda3,/dev/vdb1", "3", "200", harts=2, append="audit=on",
                  options=["--disk", f"{path}:", "--disk", f"{damaged}:"])
    assert done.status == 0, done
    assert re.search(r"vda1: 1 MiB.*vda3: 1 MiB.*vdb: GPT: .*vdb1: 1 MiB", done.log, re.DOTALL), done
    after, size = path.read_bytes(), 200 * 4096
    assert after[2 << 20:(2 << 20) + size] == pattern(200) == damaged.read_bytes()[1 << 20:(1 << 20) + size]
    assert after[:2 << 20] == before[:2 << 20] and after[3 << 20:] == before[3 << 20:]


@pytest.mark.parametrize("kind", KINDS)
def test_errors(corral, programs, tmp_path, kind):
    """blkdebug fails one sector's reads, another one's writes, and one flush; each once in the program, and no more."""
    path = tmp_path / "small.img"
    path.write_bytes(bytes(256 << 10))
    rules = tmp_path / "rules"
    rules.write_text('[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "100"\n\n'
                     '[inject-error]\nevent = "pwritev"\nerrno = "5"\nsector = "200"\n\n'
                     '[inject-error]\nevent = "flush_to_disk"\nerrno = "5"\nonce = "on"\n')
    done = corral(programs / "disk", "errors", "/dev/vda", "100", "200", append="audit=on",
                  options=by_hand(path, kind, ",rerror=report,werror=report", front=f"file=blkdebug:{rules}:"))
    assert done.status == 0, done
    assert done.out == "fsync -1 Input/output error\nfsync 0 Success\n", done
    data = path.read_bytes()
    assert all(data[at * 512 + 7] == (0 if at == 200 else 1 + at % 255) for at in range(512))


@pytest.mark.parametrize("kind", KINDS)
def test_slow(corral, programs, image, kind):
    """Far longer than the time that a silent disk gets: it is slow, not silent."""
    path = image()
    done = corral(programs / "disk", "fill", "/dev/vda", "4", "10", append="audit=on disk-timeout=2",
                  options=by_hand(path, kind, ",throttling.iops-total=20"))
    assert done.status == 0, done
    assert path.read_bytes()[:10 * 4096] == pattern(10)
    assert "out of use" not in done.log


@pytest.mark.parametrize("harts", (1, 8))
def test_kill(corral, programs, image, harts):
    """A MiB is 256 requests, or 13 s; who is killed waits for those that are under way."""
    began = time.monotonic()
    done = corral(programs / "disk", "kill", "/dev/vda", harts=harts, append="audit=on",
                  options=by_hand(image(), "modern", ",throttling.iops-total=20"))
    assert done.status == 0 and time.monotonic() - began < 10, done


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harts", (1, 4))
def test_silence(corral, programs, image, harts, kind):
    """A byte a second is silence: EIO, one line, and the machine goes on."""
    done = corral(programs / "disk", "hang", "/dev/vda", harts=harts, append="audit=on disk-timeout=2",
                  options=by_hand(image(), kind, ",throttling.bps-total=1"))
    assert done.status == 0 and done.out == "-1 Input/output error\n" * 2, done
    assert done.log.count("vda: it does not answer: the disk is out of use") == 1, done
    assert "audit: ok" in done.log, done


@pytest.mark.parametrize("arguments,message", [
    (["--disk", "/nowhere/x.img"], "--disk /nowhere/x.img: /nowhere/x.img: no such file "
                                   "(to make one: truncate -s 64M /nowhere/x.img && mkfs.fat -F 32 /nowhere/x.img)"),
    (["--disk", "/etc/passwd/x.img"], "--disk /etc/passwd/x.img: /etc/passwd/x.img: Not a directory"),
    (["--disk", ""], "--disk : no image given: IMAGE[:PATH][:ro]"),
    (["--disk", ":/mnt"], "--disk :/mnt: no image given: IMAGE[:PATH][:ro]"),
    (["--disk", "/tmp"], "--disk /tmp: /tmp: Is a directory"),
    (["--disk", "/dev/null"], "--disk /dev/null: /dev/null: neither a file nor a disk"),
])
def test_bad_options(corral, programs, arguments, message):
    done = corral(programs / "disk", "info", "/dev/vda", options=arguments)
    assert done.status == 2 and done.err == f"corral: {message}\n", done


def test_bad_paths(corral, programs, image):
    path = image()
    for spec, more, why in ((f"{path}:here", [], "must be an absolute path"), (f"{path}:/", [], "/ is the initramfs"), (str(path), ["--disk", str(path)], "two disks")):
        done = corral(programs / "disk", "info", "/dev/vda", options=["--disk", spec, *more])
        assert done.status == 2 and why in done.err and done.err.count("\n") == 1, done


@pytest.mark.parametrize("head,why", [
    (b"", "0 bytes are too few for a disk (to make one: truncate -s 64M {0} && mkfs.fat -F 32 {0})"),
    (b"x" * 511, "511 bytes are too few for a disk (to make one: truncate -s 64M {0} && mkfs.fat -F 32 {0})"),
    (b"QFI\xfb" + bytes(65536), "a qcow2 image, but only raw ones are disks here: qemu-img convert -O raw makes one"),
    (b"\x1f\x8b\x08" + bytes(65536), "packed (gzip): unpack it first"),
    (b"PK\x03\x04" + bytes(65536), "packed (zip): unpack it first"),
], ids=("empty", "short", "qcow2", "gzip", "zip"))
def test_no_images(corral, programs, tmp_path, head, why):
    path = tmp_path / "x.img"
    path.write_bytes(head)
    done = corral(programs / "disk", "info", "/dev/vda", options=["--disk", str(path)])
    assert done.status == 2 and done.err == f"corral: --disk {path}: {path}: {why.format(path)}\n", done


def test_in_use(corral, programs, image):
    """By another machine, and twice in one; for reading only, both may have it."""
    path = image()
    command = ["qemu-system-riscv64", "-M", "virt", "-S", "-nodefaults", "-display", "none", "-blockdev",
                            f"driver=file,node-name=d,filename={path}", "-device", "virtio-blk-device,drive=d"]
    busy = subprocess.Popen(command)
    try:
        time.sleep(1)
        assert busy.poll() is None
        for more in ("", ":ro"):
            done = corral(programs / "disk", "info", "/dev/vda", options=["--disk", f"{path}:{more}"])
            assert done.status == 125 and done.err.splitlines()[-1] == (
                f"corral: --disk {path}: in use by another program, another corral run perhaps "
                "(many may have it for reading only: :ro)"), done
    finally:
        busy.kill()
        busy.wait()
    done = corral(programs / "disk", "info", "/dev/vda", options=["--disk", f"{path}:", "--disk", f"{path}:/a"])
    assert done.status == 2 and done.err == (f"corral: --disk {path}:/a: the same image as {path}:: one disk, "
                                             "or both for reading only (:ro)\n"), done
    done = corral(programs / "disk", "info", "/dev/vdb", options=["--disk", f"{path}::ro"] * 2)
    assert done.status == 0 and "read_only=1" in done.out, done


@pytest.mark.parametrize("argument", ("ramdisk=", "ramdisk=5", "ramdisk=1M,", "ramdisk=1T", "ramdisk=99999999999999999999M",
                                      "ramdisk=64G", "disk-timeout=0", "disk-timeout=x"))
def test_bad_arguments(corral, programs, argument):
    done = corral(programs / "disk", "info", "/dev/ram0", append=argument)
    assert done.status == 125 and f"cannot start: boot argument {argument}: " in done.err, done
