"""make dist's tarball, unpacked where nothing is but QEMU, a shell and coreutils."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

from tests.conftest import BUILD, CORRAL

KERNEL = BUILD / "virt-release" / "Image"
TOOLS = ("sh", "cat", "ls", "dirname", "basename", "test", "printf", "env", "true", "qemu-system-riscv64")


def dist():
    done = subprocess.run([str(CORRAL.parent / "dist"), "--build", str(BUILD), "--kernel", str(KERNEL)], capture_output=True,
                          text=True, check=False)
    if "could not be fetched" in done.stderr:
        pytest.skip("busybox-static:riscv64 is not to be had")
    assert done.returncode == 0, done
    return pathlib.Path(done.stdout.strip())


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """(its folder, an environment with nothing else in it)"""
    tmp = tmp_path_factory.mktemp("dist")
    path = dist()
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert dist() == path and hashlib.sha256(path.read_bytes()).hexdigest() == before  # the same again
    with tarfile.open(path) as tar:
        tar.extractall(tmp)
    path.unlink()
    (tmp / "bin").mkdir()
    for tool in TOOLS:
        (tmp / "bin" / tool).symlink_to(shutil.which(tool))
    folder = tmp / path.name.removesuffix(".tar.gz")
    return folder, {"PATH": str(tmp / "bin"), "HARTS": "2", "MEM": "256M"}


def run(unpacked, *words):
    folder, environment = unpacked
    return subprocess.run([str(folder / "run"), *words], env=environment, cwd="/", stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=False)


def test_what_is_in_it(unpacked):
    folder, _ = unpacked
    assert folder.name == "corral-" + (folder / "VERSION").read_text().strip()
    assert {"Image", "initramfs.cpio", "run", "README.md", "docs", "scripts", "LICENSES"} <= set(os.listdir(folder))
    notice = (folder / "LICENSES" / "NOTICE").read_text()
    for part in ("picolibc", "device-tree-compiler", "libc6-dev", "libgcc", "busybox-static"):
        name = next(line for line in notice.splitlines() if line.startswith(part)).partition(":")[0]
        assert "icense" in (folder / "LICENSES" / f"{name}.copyright").read_text(errors="replace")


def test_it_runs(unpacked):
    done = run(unpacked, "sh", "-c", 'echo "$1"; corral-map self | tail -n 1; ls -l /bin/bench; exit 7', "x", 'two  "words" $HOME\\')
    assert done.returncode == 7 and 'two  "words" $HOME\\' in done.stdout, done
    assert "pages there" in done.stdout and "/bin/bench" in done.stdout, done


def test_it_helps(unpacked):
    done = run(unpacked, "--help")
    assert done.returncode == 0 and "corral-top" in done.stdout and "set -u" not in done.stdout, done


def test_scripts_in_it(unpacked):
    """With Python, programs of one's own."""
    folder, _ = unpacked
    done = subprocess.run([str(folder / "scripts" / "corral"), "run", "--kernel", str(folder / "Image"), "--mem", "256M", "--",
                           str(BUILD / "user" / "tests" / "cat"), "/proc/version"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and "corral" in done.stdout, done
