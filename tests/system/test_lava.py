"""
The job and the device template for LAVA labs, run by Debian's lava-dispatcher: deploy, boot and test are its own, the board is
tests/system/lava_board.py. Where lava-run is not installed, CORRAL_LAVA may name a folder that lava-dispatcher and what it depends
on were unpacked into.
"""
import glob
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from corral_lib import card, platform
from tests.conftest import BUILD, ROOT

LAVA = os.environ.get("CORRAL_LAVA", "")
PLACE = ROOT / "scripts" / "lava"
# One that passes, one that the machine is too small for, and one that fails.
ARGUMENTS = ("BENCH_DISK=/none mount=mmcblk0:/card init=/bin/bench -- --quick --format=ktap --out=/card/results/ "
             "--filter=null_syscall|call/MiB:256|msync/pages:1 --max-mib=256 --memory=64")


def lava(*words):
    """Runs Python or lava-run as the dispatcher's package has it."""
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    if LAVA:
        env["PYTHONPATH"] = f"{LAVA}/usr/lib/python3/dist-packages"
        env["LD_LIBRARY_PATH"] = ":".join(glob.glob(f"{LAVA}/usr/lib/*-linux-gnu") + glob.glob(f"{LAVA}/lib/*-linux-gnu"))
    return subprocess.run(words, capture_output=True, text=True, timeout=240, check=False, env=env)


@pytest.fixture(scope="session")
def runner():
    path = f"{LAVA}/usr/bin/lava-run" if LAVA else shutil.which("lava-run")
    if os.getuid() != 0:
        pytest.skip("lava-run writes to /var/lib/lava: not root")
    if not path or lava("/usr/bin/python3", path, "--help").returncode:
        pytest.skip("no lava-run here: apt-get install lava-dispatcher, or CORRAL_LAVA")
    return path


@pytest.fixture
def board(tmp_path):
    """A folder with a board that has an empty card in it."""
    try:
        stage = card.BOARDS[platform.CHAIN_BOARD].stage("u-boot-spl.bin")
    except card.BadImage as error:
        pytest.skip(str(error))
    folder = tmp_path / "board"
    folder.mkdir()
    shutil.copyfile(stage, folder / "spl")
    card.write_flash(str(folder / "flash"), card.BOARDS[platform.CHAIN_BOARD], platform.CHAIN_SCRIPT, stages=False)
    (folder / "card").write_bytes(bytes(1 << 20))
    yield folder
    subprocess.run([sys.executable, str(ROOT / "tests" / "system" / "lava_board.py"), str(folder), "off"], check=True)


def write_device(board, path):
    """As a lab's server does: the device's dictionary extends the type's template."""
    play = f"{sys.executable} {ROOT}/tests/system/lava_board.py {board}"
    words = {"connection_command": f"{play} console", "power_on_command": f"{play} on", "power_off_command": f"{play} off",
             "hard_reset_command": f"{play} on", "flash_command": f"{play} flash {{IMAGE}}"}
    dictionary = '{% extends "corral-board.jinja2" %}' + "".join(f"{{% set {name} = '{value}' %}}" for name, value in words.items())
    done = lava("/usr/bin/python3", "-c", "import jinja2, sys; print(jinja2.Environment(loader=jinja2.FileSystemLoader(sys.argv[1]))"
                                          ".from_string(sys.argv[2]).render())", str(PLACE), dictionary)
    assert done.returncode == 0, done
    path.write_text(done.stdout)


def test_job(runner, board, tmp_path):
    kernel, image = BUILD / "virt-debug" / "Image", tmp_path / "sdcard.img"
    initramfs = tmp_path / "initramfs.cpio"
    subprocess.run([str(ROOT / "scripts" / "mkinitramfs"), str(initramfs), f"{BUILD}/user/bench:/bin/bench"], check=True)
    card.write_card(str(image), card.BOARDS[platform.CHAIN_BOARD], kernel.read_bytes(), initramfs.read_bytes(), ARGUMENTS)
    write_device(board, tmp_path / "device.yaml")
    job = tmp_path / "job.yaml"
    job.write_text((PLACE / "job.yaml").read_text().replace("url: IMAGE_URL", f"url: file://{image}"))
    done = lava("/usr/bin/python3", runner, "--job-id", "1", "--output-dir", str(tmp_path / "out"), "--device", str(tmp_path / "device.yaml"),
                str(job))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    results = [line["msg"] for line in map(yaml.safe_load, said.splitlines()) if line and line.get("lvl") == "results"]
    mine = {result["extra"]["test_case_id"]: result for result in results if result["definition"] == "corral"}
    assert {name: result["result"] for name, result in mine.items()} == {
        "null_syscall": "pass", "fork_call/MiB:256": "skip", "msync/pages:1": "fail"}, results
    assert float(mine["null_syscall"]["measurement"]) > 0 and mine["null_syscall"]["units"] == "ns/call", mine
    report = subprocess.run(["mcopy", "-n", "-i", f"{board}/card@@8M", "::results/bench-1.json", "-"], capture_output=True, check=True)
    assert b"null_syscall" in report.stdout, "what the board left on its card"
