"""The images for boards: the same bytes each time, what is where, and what is refused."""
import hashlib
import os
import re
import shlex
import shutil
import subprocess

import pytest

from corral_lib import card
from tests.conftest import BUILD, ROOT
from tests.system import fat_image

MKCARD = str(ROOT / "scripts" / "mkcard")
BOARDS = sorted(card.BOARDS)
SECTOR, MIB = 512, 1 << 20
needs_tools = pytest.mark.skipif(not all(map(shutil.which, ("sgdisk", "dumpimage", "mcopy", "mkfs.fat"))),
                                 reason="needs gdisk, u-boot-tools, mtools and dosfstools (make setup)")
pytestmark = needs_tools


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=300, **more)


def outside_make():
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Something to put on a card, as large as what we have, which no other test rebuilds meanwhile."""
    folder = tmp_path_factory.mktemp("inputs")
    kernel = folder / "Image"
    kernel.write_bytes(os.urandom(56) + b"RSC\x05" + os.urandom(400000))
    initramfs = folder / "initramfs.cpio"
    initramfs.write_bytes(b"070701" + os.urandom(1000000))
    return ["--kernel", kernel, "--initramfs", initramfs]


@pytest.fixture(scope="session", params=BOARDS)
def built(request, inputs, tmp_path_factory):
    """(board, its card)"""
    board = card.BOARDS[request.param]
    try:
        board.stage("u-boot.itb")
    except card.BadImage as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp(board.name) / "sdcard.img"
    done = run(MKCARD, "sdcard", board.name, path, *inputs)
    assert done.returncode == 0, done
    return board, path


def stage(board, name):
    with open(board.stage(name), "rb") as file:
        return file.read()


def test_same_bytes(built, inputs, tmp_path):
    """At another time, in another zone, by somebody whose files are his own alone, from elsewhere."""
    board, path = built
    env = dict(os.environ, TZ="Asia/Tokyo", LC_ALL="C")
    done = run(MKCARD, "sdcard", board.name, "again.img", *inputs, cwd=tmp_path, env=env, umask=0o077)
    assert done.returncode == 0, done
    assert digest(tmp_path / "again.img") == digest(path)
    assert [run(MKCARD, "spiflash", board.name, tmp_path / name).returncode for name in "ab"] == [0, 0]
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_table(built):
    _, path = built
    said = run("sgdisk", "-v", path).stdout
    assert "No problems found" in said, said
    for number, first, last, kind, name in ((1, 34, 2081, card.TYPE_SPL, "spl"), (2, 2082, 10273, card.TYPE_FIT, "u-boot"),
                                            (3, 16384, None, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "corral")):
        said = run("sgdisk", "-i", number, path).stdout
        assert f"GUID code: {kind}" in said and f"First sector: {first} " in said and f"'{name}'" in said, said
        assert last is None or f"Last sector: {last} " in said, said
    assert "Attribute flags: 0000000000000004" in said, said
    size = path.stat().st_size
    assert size & (size - 1) == 0, "QEMU's SD cards are a power of two"


def test_stages(built, tmp_path):
    board, path = built
    data = path.read_bytes()
    for name, sector in (("u-boot-spl.bin", 34), ("u-boot.itb", 2082)):
        wanted = stage(board, name)
        assert data[sector * SECTOR:sector * SECTOR + len(wanted)] == wanted
    (tmp_path / "fit").write_bytes(data[2082 * SECTOR:10274 * SECTOR])
    said = run("dumpimage", "-l", tmp_path / "fit").stdout
    assert "OpenSBI fw_dynamic Firmware" in said and f"hifive-{board.name.split('-')[1]}-a00" in said, said
    assert re.search(r"Firmware: +opensbi", said) and re.search(r"Loadables: +uboot", said), said


def test_files(built, inputs, tmp_path):
    board, path = built
    fat = tmp_path / "fat"
    fat.write_bytes(path.read_bytes()[16384 * SECTOR:-33 * SECTOR])
    assert fat_image.is_clean(fat), fat_image.damage(fat)
    assert fat_image.names(fat) == ["::/extlinux/", "::/firmware/", "::/Image", "::/initramfs.cpio"]
    assert fat_image.read(fat, "/Image") == inputs[1].read_bytes()
    assert fat_image.read(fat, "/initramfs.cpio") == inputs[3].read_bytes()
    assert fat_image.read(fat, "/firmware/u-boot.itb") == stage(board, "u-boot.itb")
    config = fat_image.read(fat, "/extlinux/extlinux.conf").decode()
    assert re.search(r"^\tKERNEL /Image$", config, re.M) and re.search(r"^\tINITRD /initramfs.cpio$", config, re.M), config
    assert re.search(rf"^\tAPPEND {re.escape(card.for_u_boot(card.ARGUMENTS))}$", config, re.M) and "FDT" not in config, config
    said = run("mdir", "-i", fat, "::").stdout
    assert int(re.search(r"([\d ]+) bytes free", said)[1].replace(" ", "")) > 200 * MIB, said


def test_spi_flash(built, tmp_path):
    board, _ = built
    done = run(MKCARD, "spiflash", board.name, tmp_path / "flash")
    assert done.returncode == 0 and "sf update 0x84000000 0x105000" in done.stdout, done
    data = (tmp_path / "flash").read_bytes()
    spl, fit = stage(board, "u-boot-spl.bin"), stage(board, "u-boot.itb")
    assert len(data) == 32 * MIB
    assert data == (b"\xff" * (40 * SECTOR) + spl).ljust(2088 * SECTOR, b"\xff") + fit.ljust(len(data) - 2088 * SECTOR, b"\xff")


def test_script(tmp_path):
    """What `source` of U-Boot takes, as the tool that makes such says, and the same bytes each time."""
    script = card.boot_script("run bootcmd_mmc0\n")
    (tmp_path / "script").write_bytes(script)
    said = run("dumpimage", "-l", tmp_path / "script").stdout
    assert "RISC-V Linux Script" in said and script == card.boot_script("run bootcmd_mmc0\n"), said


def test_make(tmp_path):
    """As people build it: kernel and benchmark are the build's own. One after the other: they share those."""
    for board in BOARDS:
        done = run("make", "-s", "-C", ROOT, f"O={BUILD}", f"BOARD={board}", "APPEND=init=/bin/bench -- --quick", "sdcard", env=outside_make())
        assert done.returncode == 0, done
        place = f"{BUILD / board / 'sdcard.img'}@@{16384 * SECTOR}"
        config = run("mcopy", "-n", "-i", place, "::/extlinux/extlinux.conf", "-").stdout
        assert config.endswith("\tAPPEND init=/bin/bench -- --quick\n"), config
        subprocess.run(["mcopy", "-n", "-i", place, "::/Image", str(tmp_path / board)], check=True)
        assert (tmp_path / board).read_bytes() == (BUILD / "virt-release" / "Image").read_bytes()


# ---- What is refused

def test_make_without_a_board():
    for words, said in ((["sdcard"], "BOARD=sifive-unmatched"), (["BOARD=visionfive", "sdcard"], "BOARD is virt, or")):
        done = run("make", "-s", "-C", ROOT, f"O={BUILD}", *words, env=outside_make())
        assert done.returncode == 2 and said in done.stderr, done


@pytest.mark.parametrize("change,words", [
    (lambda words, tmp: words[:2] + ["--kernel", "/etc/passwd"] + words[4:], "not a RISC-V Image"),
    (lambda words, tmp: words[:2] + ["--kernel", tmp / "absent"] + words[4:], "No such file"),
    (lambda words, tmp: words[:4], "needs --kernel and --initramfs"),
    (lambda words, tmp: words + ["--append", "x" * 256], "U-Boot takes 255"),
    (lambda words, tmp: words + ["--append", "a\nb"], "line ends"),
    (lambda words, tmp: ["sdcard", "visionfive"] + words[2:], "invalid choice"),
])
def test_refused(inputs, tmp_path, change, words):
    out = tmp_path / "out.img"
    given = ["sdcard", "sifive-unmatched", *inputs]
    done = run(MKCARD, *change(given, tmp_path), out)
    assert done.returncode and words in done.stderr and "Traceback" not in done.stderr, done
    assert os.listdir(tmp_path) == [], "a half image was left behind"


def test_stage_that_is_too_large(built, inputs, tmp_path, monkeypatch):
    board, _ = built
    large = tmp_path / "large"
    large.write_bytes(bytes(2049 * SECTOR))
    monkeypatch.setattr(card.Board, "stage", lambda self, name: str(large))
    with pytest.raises(card.BadImage, match="there is room for 1048576"):
        card.write_card(str(tmp_path / "out"), board, b"k", b"i", "")
    assert os.listdir(tmp_path) == ["large"]


def test_large_initramfs(tmp_path):
    """The card grows with what is put on it."""
    card.write_card(str(tmp_path / "card"), None, b"k", bytes(300 * MIB), "")
    assert (tmp_path / "card").stat().st_size == 512 * MIB
    assert run("mdir", "-b", "-i", f"{tmp_path}/card@@{MIB}", "::/Image").returncode == 0


@pytest.mark.parametrize("arguments", [
    "plain", "a\\ b", "it\\'s", "'single'", "$x ${y} $(z)", "\\\\", "a\\\\\\$b", "\\\\\\\\x", '"d\\"q"', "x\\$", "'$'",
])
def test_as_u_boot_reads_it(arguments):
    assert processed(card.for_u_boot(arguments)) == arguments


def processed(line):
    """U-Boot's cli_simple_process_macros(), with no variable set."""
    out, state, before, at = "", 0, "", 0
    while at < len(line):
        char = line[at]
        at += 1
        if state != 3 and char == "\\" and before != "\\":
            if at == len(line):
                break
            before, char = char, line[at]
            at += 1
        if state == 0:
            if char == "'" and before != "\\":
                state = 3
            elif char == "$" and before != "\\":
                state = 1
            else:
                out += char
        elif state == 1:
            state = 2 if char in "({" else 0
            out += "" if state else "$" + char
        elif state == 2:
            state = 0 if char in ")}" else 2
        elif char == "'" and before != "\\":
            state = 0
        else:
            out += char
        before = char
    return out


def test_make_hands_arguments_on(tmp_path):
    """Whatever quotes are in them: the command that make would run, taken apart as the shell does."""
    wanted = "name='it is' other=\"a, b\" $HOME"
    done = run("make", "-n", "sdcard", f"BOARD={BOARDS[0]}", "CORRAL_SETUP_DONE=1", f"O={tmp_path}", "APPEND=" + wanted.replace("$", "$$"),
               cwd=ROOT, env=outside_make())
    words = shlex.split(done.stdout[done.stdout.rindex("scripts/mkcard"):])
    assert done.returncode == 0 and words[words.index("--append") + 1] == wanted, done
