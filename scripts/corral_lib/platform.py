"""
--machine, --firmware, --qemu: which machine QEMU plays, what is on it before Corral, and which QEMU. Combinations that cannot
work are refused here, in one line that says why, and not found out by a machine that is silent.
"""
import glob
import os
import re
import subprocess

from . import card

MACHINES = ("virt", "sifive_u")
FIRMWARES = ("opensbi", "opensbi-1.1", "opensbi-1.6", "u-boot")
SYSTEM_QEMU, SYSTEM_VERSION = "qemu-system-riscv64", "7.2"
QEMUS = (SYSTEM_VERSION, "10")
GENERIC = "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"
U_BOOT = "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"
# What is nearest to a U74 in QEMU 10: A and D bits trap, Sv39 only, no Sstc, no H, and its ids, so that every fence is the global one.
U74 = "rv64,svade=on,svadu=off,sv48=off,sv57=off,h=off,sstc=off,mvendorid=0x489,marchid=0x8000000000000007,mimpid=0x20181004"
CHAIN_BOARD = "sifive-unleashed"  # what sifive_u is
CHAIN_MEMORY = "8G"               # what that board's device tree says it has
# QEMU 7.2 answers every second CMD0 of an SD card wrongly; U-Boot asks once, and then this script.
CHAIN_SCRIPT = "run bootcmd_mmc0\n"
QEMU_10 = ("qemu-10", "qemu-system-riscv", "./usr/bin/qemu-system-riscv64", "./usr/lib/*-linux-gnu*/*.so*", "./usr/lib64/*",
           "./usr/share/qemu/*", "./" + GENERIC)


class Impossible(Exception):
    """One line: why there is no such machine, or not here."""


def megabytes(size):
    """--mem as a number of MiB, rounded down."""
    number, unit = re.fullmatch(r"([0-9]+)([KMGkmg]?)", size).groups()
    return int(number) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024}[unit.upper()]


def most_harts(args):
    return 4 if args.machine == "sifive_u" else 8


def default_memory(args):
    return CHAIN_MEMORY if (args.machine, args.firmware) == ("sifive_u", "u-boot") else "1G"


def check(args):
    """Raises Impossible for what cannot work. harts and mem have their values by now."""
    if not 1 <= args.harts <= most_harts(args):
        raise Impossible(f"--harts {args.harts}: 1 to {most_harts(args)}" +
                         (" on sifive_u (its hart 0 is none that Corral can run on)" if args.machine == "sifive_u" else ""))
    if args.firmware == "u-boot":
        check_u_boot(args)
    if args.machine == "sifive_u":
        check_card(args)
    if args.machine == "sifive_u" and args.firmware != "u-boot" and megabytes(args.mem) < 64:
        raise Impossible(f"--mem {args.mem}: 64M at least on sifive_u")


def check_card(args):
    """sifive_u's only disk is the card in its slot."""
    if len(args.disk) > 1:
        raise Impossible(f"--disk: {len(args.disk)} disks, but sifive_u has one slot for an SD card, and nothing else")
    if args.disk and args.firmware == "u-boot":
        raise Impossible("--disk: the SD card of sifive_u is the one that U-Boot boots from; --firmware opensbi leaves it free")
    if args.disk and args.qemu == "10":
        raise Impossible("--disk: QEMU 10 cannot read SD cards by SPI; take --qemu 7.2")


def check_u_boot(args):
    if args.machine == "virt":
        if megabytes(args.mem) < 256:
            raise Impossible(f"--mem {args.mem}: U-Boot on virt loads to where a machine has to have 256M")
        return
    if args.qemu == "10":
        raise Impossible("--machine sifive_u --firmware u-boot --qemu 10: QEMU 10 cannot read SD cards by SPI; take --qemu 7.2")
    if megabytes(args.mem) != megabytes(CHAIN_MEMORY):
        raise Impossible(f"--mem {args.mem}: the firmware of sifive_u says that it has {CHAIN_MEMORY}, whatever it has: --mem {CHAIN_MEMORY}")
    if args.harts != most_harts(args):
        raise Impossible(f"--harts {args.harts}: the firmware of sifive_u waits for all of its harts: --harts {most_harts(args)}")


# ---- Which QEMU

def qemu(args):
    """The words of a command line that QEMU's own arguments follow."""
    if args.qemu == "10":
        return qemu_10()
    if args.qemu != SYSTEM_VERSION:
        return [args.qemu]
    try:
        said = subprocess.run([SYSTEM_QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise Impossible(f"--qemu {args.qemu}: {SYSTEM_QEMU}: {error.strerror}") from None
    version = re.search(r"version (\d+\.\d+)", said)
    if not version or version[1] != SYSTEM_VERSION:
        raise Impossible(f"--qemu {args.qemu}: {SYSTEM_QEMU} here is {version[1] if version else 'none that says its version'}")
    return [SYSTEM_QEMU]


def qemu_10():
    """Debian 13's, out of its own folder, by the dynamic loader and libraries that it was built for."""
    name, package, *patterns = QEMU_10
    root = fetch("host", name, package, *patterns)
    loaders = glob.glob(os.path.join(root, "usr", "lib*", "ld-linux-*.so.*")) + \
        glob.glob(os.path.join(root, "usr", "lib", "*-linux-gnu*", "ld-linux-*.so.*"))
    libraries = glob.glob(os.path.join(root, "usr", "lib", "*-linux-gnu*", "libc.so.6"))
    if not loaders or not libraries:
        raise Impossible(f"--qemu 10: {root} is not whole: remove it, and it is fetched again")
    return [loaders[0], "--library-path", os.path.dirname(libraries[0]), os.path.join(root, "usr", "bin", SYSTEM_QEMU),
            "-L", os.path.join(root, "usr", "share", "qemu")]


def fetch(*words):
    done = subprocess.run([os.path.join(card.ROOT, "scripts", "fetch"), *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Impossible(f"{words[2]} is not there and could not be fetched")
    return done.stdout.strip()


# ---- What is on it

def machine(args):
    return "sifive_u,msel=11" if (args.machine, args.firmware) == ("sifive_u", "u-boot") else args.machine


def processors(args):
    return args.harts + (args.machine == "sifive_u")


def needed(path, package):
    if not os.path.isfile(path):
        raise Impossible(f"{path} is not there: the package {package} has it")
    return path


def bios(args):
    if args.firmware == "opensbi-1.1":
        return ["-bios", needed("/" + GENERIC, "opensbi")]
    if args.firmware == "opensbi-1.6":
        return ["-bios", os.path.join(fetch("deb", "opensbi-1.6", "opensbi"), GENERIC)]
    return []


def direct(args, kernel, initrd, arguments):
    """QEMU itself loads everything."""
    return [*bios(args), "-kernel", kernel, "-initrd", initrd, "-append", arguments]


def nameless(path):
    """(fd, path for a child that inherits it) of a file whose name goes at once, so that nothing is left behind."""
    fd = os.open(path, os.O_RDWR)
    os.remove(path)
    os.set_inheritable(fd, True)
    return fd, f"/proc/self/fd/{fd}"


def by_u_boot(args, kernel, initrd, arguments):
    """(the arguments, file descriptors to pass on): U-Boot finds all of it on a disk or card that is made for this run."""
    with open(kernel, "rb") as file:
        image = file.read()
    if image[:4] == b"\x7fELF":
        raise Impossible(f"--kernel {kernel}: U-Boot's booti takes a raw Image, and this is an ELF file")
    with open(initrd, "rb") as file:
        archive = file.read()
    board = card.BOARDS[CHAIN_BOARD] if args.machine == "sifive_u" else None
    folder = os.path.join(args.build, "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"card-{os.getpid()}")
    card.write_card(path, board, image, archive, arguments)
    fd, disk = nameless(path)
    if args.machine == "virt":
        return ["-kernel", needed(U_BOOT, "u-boot-qemu"), "-drive", f"file={disk},format=raw,if=none,id=boot",
                "-device", "virtio-blk-device,drive=boot"], [fd]
    card.write_flash(path, board, CHAIN_SCRIPT, stages=False)
    script_fd, flash = nameless(path)
    return ["-bios", board.stage("u-boot-spl.bin"), "-drive", f"file={disk},format=raw,if=sd",
            "-drive", f"file={flash},format=raw,if=mtd"], [fd, script_fd]
