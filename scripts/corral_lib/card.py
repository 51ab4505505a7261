"""
Disk images that machines boot Corral from: a GPT, the board's first stages where it wants them, and a FAT32 with the kernel, the
initramfs and extlinux.conf. The same input gives the same bytes: all ids are fixed and nothing has a time.
"""
import contextlib
import os
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SECTOR = 512
MIB = 1 << 20
LONGEST_ARGUMENTS = 255  # CONFIG_SYS_CBSIZE of Debian's U-Boots, less the 0 byte
PACKAGE = "u-boot-sifive"
TYPE_SPL, TYPE_FIT, TYPE_FAT = "5B193300-FC78-40CD-8002-E86C45580B47", "2E54B353-1271-4842-806F-E436D6AF6985", "EF00"
SPL_SECTOR, SPL_LAST, FIT_SECTOR, FIT_LAST, FAT_SECTOR = 34, 2081, 2082, 10273, 16384  # the SPL reads the FIT from 2082, always
FLASH_SIZE, FLASH_SPL, FLASH_FIT, FLASH_SCRIPT = 32 * MIB, 40, 2088, 0x1FFF000  # SPI flash: 40 and 2088 are sectors, too
FLASH_ENVIRONMENT = 0x505000
SIZE_MIB = 256  # a power of two: QEMU's SD cards are
CLUSTER_SECTORS = 4
# What a card boots with. A board that can only restart at the end would do so for ever.
ARGUMENTS = "end=stop ramdisk=16M BENCH_DISK=/dev/ram0 mount=mmcblk0:/card init=/bin/bench -- --format=ktap --out=/card/results/"
NAMES = {"kernel": "Image", "initramfs": "initramfs.cpio", "config": "extlinux/extlinux.conf"}


class BadImage(Exception):
    """One line: why there is no image."""


class Board:
    """What a card for this board has beside the FAT. firmware: the folder in the package."""

    def __init__(self, name, title, firmware):
        self.name, self.title, self.firmware = name, title, firmware

    def stage(self, name):
        """The path of u-boot-spl.bin or u-boot.itb; the package is fetched when it is not there."""
        path = os.path.join(fetched(PACKAGE), "usr", "lib", "u-boot", self.firmware, name)
        if not os.path.isfile(path):
            raise BadImage(f"the package {PACKAGE} has no {self.firmware}/{name}")
        return path


BOARDS = {board.name: board for board in (
    Board("sifive-unleashed", "SiFive HiFive Unleashed (FU540)", "sifive_unleashed"),
    Board("sifive-unmatched", "SiFive HiFive Unmatched (FU740)", "sifive_unmatched"))}


def fetched(package, kind="deb", folder=None):
    """The folder with a package's files, out of Debian's archive, where scripts/fetch puts it."""
    done = subprocess.run([os.path.join(ROOT, "scripts", "fetch"), kind, folder or package, package], stdout=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode != 0:
        raise BadImage(f"{package} is not there and could not be fetched")
    return done.stdout.strip()


def tool(*words, data=None):
    env = dict(os.environ, SOURCE_DATE_EPOCH="315532800", TZ="UTC", MTOOLS_SKIP_CHECK="1", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    words = [str(word) for word in words]
    try:
        done = subprocess.run(words, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, check=False)
    except FileNotFoundError:
        raise BadImage(f"{words[0]} is not there: make setup installs it") from None
    if done.returncode != 0:
        raise BadImage(f"{' '.join(words[:6])}: {done.stdout.decode(errors='replace').strip()}")
    return done.stdout


# ---- extlinux.conf

def for_u_boot(arguments):
    """
    The same boot arguments as U-Boot has to read them: it takes one level of backslashes and quotes off, and puts in
    variables, as cli_simple_process_macros() does. A backslash behind a backslash is one already.
    """
    out, before = "", ""
    for char in arguments:
        special = char == "\\" or char in "'$"
        out += "\\" + char if special and before != "\\" else char
        before = char
    return out


def config(arguments):
    if "\n" in arguments:
        raise BadImage("boot arguments in extlinux.conf cannot have line ends")
    append = for_u_boot(arguments)
    if len(os.fsencode(append)) > LONGEST_ARGUMENTS:
        raise BadImage(f"boot arguments of {len(os.fsencode(append))} bytes: U-Boot takes {LONGEST_ARGUMENTS}: {append[:60]}...")
    return (f"DEFAULT corral\nPROMPT 0\nTIMEOUT 1\n\nLABEL corral\n\tMENU LABEL Corral\n\tKERNEL /{NAMES['kernel']}\n"
            f"\tINITRD /{NAMES['initramfs']}\n\tAPPEND {append}\n")


# ---- The image

def guid(number):
    return f"C0441A10-0000-4000-8000-{number:012X}"


def partition(path, first_fat, stages):
    """The table. sgdisk's own copy at the end comes with it."""
    words = ["sgdisk", "--clear", "-a", "1", "-U", guid(0)]
    table = [(SPL_SECTOR, SPL_LAST, TYPE_SPL, "spl"), (FIT_SECTOR, FIT_LAST, TYPE_FIT, "u-boot")] if stages else []
    table.append((first_fat, 0, TYPE_FAT, "corral"))
    for i, (first, last, kind, name) in enumerate(table, 1):
        words += ["-n", f"{i}:{first}:{last or ''}", "-t", f"{i}:{kind}", "-c", f"{i}:{name}", "-u", f"{i}:{guid(i)}"]
    tool(*words, "-A", f"{len(table)}:set:2", path)


def put(file, path, sector, most):
    with open(path, "rb") as stage:
        data = stage.read()
    if len(data) > most * SECTOR:
        raise BadImage(f"{path}: {len(data)} bytes, but there is room for {most * SECTOR}")
    file.seek(sector * SECTOR)
    file.write(data)


def fill(path, first_fat, kernel, initramfs, arguments, more):
    """more: {name on the FAT: bytes}"""
    size = os.path.getsize(path)
    last = size // SECTOR - 34
    tool("mkfs.fat", "--invariant", "-F", "32", "-s", CLUSTER_SECTORS, "-n", "CORRAL", "-h", first_fat, f"--offset={first_fat}", path,
         (last - first_fat + 1) // 2)
    place = f"{path}@@{first_fat * SECTOR}"
    for name in sorted({os.path.dirname(name) for name in [NAMES["config"], *more]} - {""}):
        tool("mmd", "-i", place, "::/" + name)
    with tempfile.TemporaryDirectory(prefix="corral-") as folder:
        # A copy without the host's times and modes. The small file first: a card that was written halfway then says what it lacks.
        for name, data in [(NAMES["config"], config(arguments).encode()), (NAMES["kernel"], kernel), (NAMES["initramfs"], initramfs),
                           *sorted(more.items())]:
            copy = os.path.join(folder, "file")
            with open(copy, "wb") as file:
                file.write(data)
            tool("mcopy", "-i", place, copy, "::/" + name)


def size_for(*contents):
    """In MiB: the usual one, or as much larger a power of two as it takes."""
    size = SIZE_MIB
    while sum(map(len, contents)) + 64 * MIB > size * MIB:
        size *= 2
    return size


@contextlib.contextmanager
def replacing(path):
    """What is written to the name it gives takes path's place when all went well, and is gone otherwise."""
    new = path + ".new"
    try:
        yield new
        os.replace(new, path)
    finally:
        if os.path.exists(new):
            os.remove(new)


def write_card(path, board, kernel, initramfs, arguments, more=()):
    """A whole card at path. board: one of BOARDS, or None for a disk without first stages (QEMU's virt)."""
    first_fat = FAT_SECTOR if board else 2048
    more = dict(more)
    with replacing(path) as new:
        with open(new, "wb") as file:
            file.truncate(size_for(kernel, initramfs, *more.values()) * MIB)
        partition(new, first_fat, board is not None)
        if board:
            with open(new, "r+b") as file:
                put(file, board.stage("u-boot-spl.bin"), SPL_SECTOR, SPL_LAST - SPL_SECTOR + 1)
                put(file, board.stage("u-boot.itb"), FIT_SECTOR, FIT_LAST - FIT_SECTOR + 1)
        fill(new, first_fat, kernel, initramfs, arguments, more)


def boot_script(commands):
    """commands for U-Boot, as the image that its `source` takes, of always the same bytes."""
    with tempfile.TemporaryDirectory(prefix="corral-") as folder:
        text, out = os.path.join(folder, "text"), os.path.join(folder, "out")
        with open(text, "w", encoding="ascii") as file:
            file.write(commands)
        tool("mkimage", "-A", "riscv", "-T", "script", "-C", "none", "-n", "corral", "-d", text, out)
        with open(out, "rb") as file:
            return file.read()


def write_flash(path, board, script=None, stages=True):
    """
    The SPI-NOR flash: the first stages, and at its end a script, which an Unleashed's U-Boot runs when no card boots. All
    else is erased (0xff), a saved environment too, which would override what we expect.
    """
    with replacing(path) as new, open(new, "wb") as file:
        file.write(b"\xff" * FLASH_SIZE)
        if stages:
            put(file, board.stage("u-boot-spl.bin"), FLASH_SPL, FLASH_FIT - FLASH_SPL)
            put(file, board.stage("u-boot.itb"), FLASH_FIT, FLASH_ENVIRONMENT // SECTOR - FLASH_FIT)
        if script:
            file.seek(FLASH_SCRIPT)
            file.write(boot_script(script))
