"""
The ways to boot Corral that QEMU can play: its machines, firmwares and versions. The whole of tests/user runs on two of them by `make chains`.
"""
import subprocess

import pytest

from corral_lib import card, cli, platform
from tests.conftest import CORRAL, KERNEL, LONG, ROOT
from tests.system import fat_image
from tests.user.cases import CASES

QEMU_10 = ["--qemu", "10"]
SIFIVE_U = ["--machine", "sifive_u"]
U_BOOT = ["--firmware", "u-boot"]
U74 = QEMU_10 + ["--qemu-args", "-cpu " + platform.U74]
CHAINS = {
    "virt-u-boot": U_BOOT, "virt-opensbi-1.6": ["--firmware", "opensbi-1.6"], "virt-qemu-7.2": ["--qemu", "7.2"],
    "virt-qemu-10": QEMU_10, "virt-qemu-10-opensbi-1.1": QEMU_10 + ["--firmware", "opensbi-1.1"],
    "virt-qemu-10-u-boot": QEMU_10 + U_BOOT, "virt-u74": U74,
    "sifive_u": SIFIVE_U, "sifive_u-opensbi-1.6": SIFIVE_U + ["--firmware", "opensbi-1.6"], "sifive_u-qemu-10": SIFIVE_U + QEMU_10,
    "sifive_u-sd-card": SIFIVE_U + U_BOOT,
}
LONGER = ("virt-qemu-7.2", "virt-qemu-10-opensbi-1.1", "virt-qemu-10-u-boot", "sifive_u-opensbi-1.6")  # much like others
# What lives by A and D bits, by fences, and by both.
PROGRAMS = ("cow_fork", "residency", "space_switch")


def available(options):
    """Skips where what Debian's archive has for this chain is not here and cannot be fetched."""
    args = cli.parse(["run", *options, "--", "x"])
    try:
        platform.qemu(args)
        if args.firmware != "u-boot":
            platform.bios(args)
        elif args.machine == "sifive_u":
            card.BOARDS[platform.CHAIN_BOARD].stage("u-boot.itb")
    except (platform.Impossible, card.BadImage) as error:
        pytest.skip(str(error))


@pytest.fixture
def chain(corral):
    def run(name, program, *args, disks=(), **more):
        options = CHAINS[name] + [word for disk in disks for word in ("--disk", str(disk))]
        available(CHAINS[name])
        # The memory is the machine's own choice: the last of two counts.
        mem = platform.default_memory(cli.parse(["run", *options, "--", "x"]))
        return corral(program, *args, harts=4, mem=mem, timeout=120, append="audit=on", options=options, **more)
    return run


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG if name in LONGER else []) for name in CHAINS])
def test_boots(chain, programs, name):
    done = chain(name, programs / "machine")
    if "cannot set up guest memory" in done.err:
        pytest.skip("this host cannot give a guest 8G")
    assert done.status == 0 and done.out.startswith("harts 4 memory "), done
    assert "audit: ok" in done.log, done


@pytest.mark.parametrize("name", ["virt-u-boot", pytest.param("sifive_u-sd-card", marks=LONG)])
def test_arguments_by_u_boot(chain, programs, name):
    """U-Boot takes a level of backslashes and quotes off, and puts in variables; all the same comes through it."""
    done = chain(name, programs / "say", "two words", "it's", '"q"', "${bootcmd} $x", "a\\b\\\\c\\'", "")
    assert done.out == 'two words\nit\'s\n"q"\n${bootcmd} $x\na\\b\\\\c\\\'\n\n', done


@pytest.mark.parametrize("name", ["virt-u74", "sifive_u"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(chain, programs, name, program):
    done = chain(name, programs / program, *CASES[program].get("args", []))
    assert done.status == 0 and done.out.endswith("ok\n") and "audit: ok" in done.log, done


def test_u74_is_one(chain, programs):
    done = chain("virt-u74", programs / "machine")
    assert ",svade" in done.log and "sstc" not in done.log, done
    assert "CIP-1200" in done.log and "CIP-453" in done.log, done


def test_caches(chain, programs):
    done = chain("sifive_u", programs / "cat", "/proc/corral/caches")
    assert done.out.endswith("level 2 type Unified bytes 2097152 sets 1024 ways 32 line 64 harts 4\n"), done
    assert "cache: level 2, 2048 KiB, 1024 sets, 32 ways, lines of 64 bytes, shared by 4 harts" in done.log, done
    assert chain("virt-opensbi-1.6", programs / "cat", "/proc/corral/caches").out == ""


def test_input(chain, programs):
    """sifive,uart0 takes input by its own interrupt."""
    done = chain("sifive_u", programs / "echo", stdin="one line\n" * 300)
    assert (done.status, done.out) == (0, "one line\n" * 300 + "ok\n"), done


def test_disk_as_sd_card(chain, programs, tmp_path):
    image = fat_image.new(tmp_path / "card", mib=64)
    fat_image.write(image, "hello", b"from the card")
    done = chain("sifive_u", programs / "cat", "/mnt/hello", disks=[image])
    assert (done.status, done.out) == (0, "from the card"), done


# ---- What cannot work says so

@pytest.mark.parametrize("cut", [4096, 0.5, -4096, -1])
def test_image_that_is_cut_off(corral, programs, tmp_path, cut):
    """As a card that was written halfway has it."""
    data = KERNEL.read_bytes()
    (tmp_path / "Image").write_bytes(data[:int(len(data) * cut) if isinstance(cut, float) else cut])
    done = corral(programs / "machine", timeout=30, options=["--kernel", str(tmp_path / "Image")])
    assert done.status == 125 and "corral: the kernel's image is cut off" in done.err, done


@pytest.mark.parametrize("options,words", [
    (SIFIVE_U + ["--harts", "5"], "--harts 5: 1 to 4 on sifive_u"),
    (["--harts", "9"], "--harts 9: 1 to 8"),
    (SIFIVE_U + U_BOOT + QEMU_10, "QEMU 10 cannot read SD cards by SPI; take --qemu 7.2"),
    (SIFIVE_U + U_BOOT + ["--mem", "1G"], "says that it has 8G"),
    (SIFIVE_U + U_BOOT + ["--harts", "2"], "--harts 4"),
    (U_BOOT + ["--mem", "128M"], "256M"),
    (SIFIVE_U + ["--disk", "a", "--disk", "b"], "one slot for an SD card"), (SIFIVE_U + U_BOOT + ["--disk", "a"], "U-Boot boots from"),
    (SIFIVE_U + QEMU_10 + ["--disk", "a"], "QEMU 10 cannot read SD cards"),
    (SIFIVE_U + ["--disk", str(ROOT / "Makefile")], "is a power of two: truncate -s 1M"),
    (["--qemu", "/nonexistent/qemu"], "No such file"),
    (["--machine", "sifive"], "invalid choice"), (["--firmware", "edk2"], "invalid choice"),
    (U_BOOT + ["--kernel", str(KERNEL.with_name("kernel.elf"))], "takes a raw Image"),
    (U_BOOT + ["--append", "A=" + "x" * 300], "U-Boot takes 255"),
])
def test_refused(programs, options, words):
    done = subprocess.run([str(CORRAL), "run", "--kernel", str(KERNEL), *options, "--", str(programs / "machine")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (2, 125) and words in done.stderr and done.stdout == "", done
    assert "Traceback" not in done.stderr
