"""The command line of scripts/corral."""
import os
import re
import shlex
import signal
import subprocess
import sys

from . import card, cpio, diff, disk, elf, machine, manual, platform, shell, trace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
TAIL_LINES = 40
# What can stand in the boot arguments as it is; any other byte gets a backslash (firmware/boot.h).
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                  b"!#$%&()*+,-./:;<=>?@[]^_`{|}~") | frozenset(range(0x80, 0x100))

TOP = """\
NAME
  corral - programs on Corral: run them, draw what they do, compare what was measured

DESCRIPTION
  Each command has a page of its own: corral COMMAND --help.
"""
DESCRIPTION = """\
NAME
  corral run - boot Corral in QEMU and run one program on it

DESCRIPTION
  Boots the kernel with PROGRAM, any static riscv64 Linux executable, as the machine's
  first. Its output appears on standard output and standard error as it comes, nothing
  else does; what arrives on standard input it can read. A terminal is passed through key
  by key; Ctrl-C ends the run. PROGRAM is a path, or the name of a program that the build
  made: bench, for one.
"""
EPILOG = """\
EXIT STATUS
  The program's own; 128+n when signal n ended it; 125 with a message when the machine
  failed or panicked; 124 when the time was up; 130 on Ctrl-C; 2 for a wrong command line.

EXAMPLES
  corral run -- bench --benchmark_filter=cow
      the benchmark's copy-on-write part, on 4 harts and 1 GiB
  riscv64-linux-gnu-gcc -static -pthread -o hello hello.c && scripts/corral run -- ./hello one two
      a program of your own, with arguments
  corral run --harts 8 --mem 2G --file data.bin:/tmp/data.bin -- ./reader /tmp/data.bin < input.txt
      with a file in the guest, and standard input
  corral run --icount --harts 1 -- bench --benchmark_filter=cow_copy
      the same numbers on every machine: 1 ns is 1 instruction
  corral run --disk card.img -- ./writer /mnt/out.bin
      with a disk: what is written there is in the image afterwards
  corral run --append 'tlb=rfence' --verbose -- ./hello
      with a boot argument, and the kernel's messages on standard error
  corral run --machine sifive_u --firmware u-boot -- bench --quick
      on a HiFive Unleashed as QEMU plays it, from an SD card: SPL, OpenSBI, U-Boot, Corral

FILES
  build/virt-release/Image      the kernel, built when it is missing
  build/results/last-run.log    the kernel's messages of the last run
"""


class UsageError(Exception):
    """One line for the user: what was wrong on the command line."""


def quote(word):
    """A word of the boot arguments, such that firmware/ reads back exactly these bytes."""
    raw = os.fsencode(word)
    if not raw:
        return '""'
    return os.fsdecode(b"".join(bytes([c]) if c in PLAIN else b"\\" + bytes([c]) for c in raw))


def parser():
    top = manual.Parser(prog="corral", description=TOP)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "run", help="boot and run a program", description=DESCRIPTION, epilog=EPILOG,
        usage="corral run [OPTION]... -- PROGRAM [ARG...]")
    add_options(command.add_argument)
    command.add_argument("--initramfs", metavar="FILE", help="another initramfs, as it is; PROGRAM is then a path in it")
    command.add_argument("program", nargs="*", metavar="PROGRAM [ARG...]", help="what to run, and its arguments")
    command = commands.add_parser(
        "shell", help="boot to a shell", description=shell.DESCRIPTION, epilog=shell.EPILOG,
        usage="corral shell [OPTION]... [-- COMMAND [ARG...]]")
    add_options(command.add_argument)
    command.add_argument("program", nargs="*", metavar="COMMAND [ARG...]", help="what to run instead of a shell to type at")
    diff.add_parser(commands)
    command = commands.add_parser(
        "trace", help="run a program and draw a timeline of its faults, forks and shootdowns", description=trace.DESCRIPTION,
        epilog=trace.EPILOG,
        usage="corral trace [OPTION]... -- PROGRAM [ARG...]\n       corral trace --from FILE [--out FILE]")
    trace.add_options(command.add_argument)
    add_options(command.add_argument)
    command.add_argument("program", nargs="*", metavar="PROGRAM [ARG...]", help="what to run, and its arguments")
    return top


def add_options(add):
    add("--harts", type=int, metavar="N", help="number of harts, 1 to 8, on sifive_u 1 to 4 (default 4; 1 with --icount)")
    add("--mem", metavar="SIZE", help="memory: 64M to 8G (default 1G)")
    add("--machine", choices=platform.MACHINES, default="virt",
        help="QEMU's own machine, or SiFive's HiFive Unleashed (default virt)")
    add("--firmware", choices=platform.FIRMWARES, default="opensbi", metavar="NAME",
        help="opensbi: QEMU's own OpenSBI, and QEMU loads the kernel; opensbi-1.1, opensbi-1.6: that one; "
             "u-boot: U-Boot loads it from a disk, on sifive_u after SPL and OpenSBI from an SD card")
    add("--icount", action="store_true", help="count instructions: 1 ns of guest time is 1 instruction")
    add("--append", action="append", default=[], metavar="ARGS", help="more boot arguments for the kernel")
    add("--file", action="append", default=[], metavar="HOST[:GUEST]",
        help="put a file or directory into the guest (default: /NAME); may be repeated")
    add("--disk", action="append", default=[], metavar="IMAGE[:PATH][:ro]",
        help="a raw disk image as a disk, its FAT mounted at PATH (default /mnt; empty: nowhere); may be repeated; on sifive_u "
             "the SD card")
    add("--virtio", choices=("modern", "legacy"), default="modern", help="how disks are attached (default modern)")
    add("--qemu-args", action="append", default=[], metavar="STRING", help="more arguments for QEMU")
    add("--timeout", type=float, metavar="S", help="give up after S seconds, with status 124")
    add("--kernel", metavar="FILE", help="another kernel (default build/virt-release/Image)")
    add("--build", default=os.environ.get("CORRAL_BUILD", os.path.join(ROOT, "build")), metavar="DIR",
        help="where things were built (default build/, or $CORRAL_BUILD)")
    add("--log", metavar="FILE", help="the kernel's messages go there (default build/results/last-run.log)")
    add("--verbose", action="store_true", help="the kernel's messages on standard error, too")
    add("--qemu", default=os.environ.get("CORRAL_QEMU", platform.SYSTEM_QEMU), metavar="VERSION",
        help="7.2: Debian 12's; 10: Debian 13's, fetched once (default: the one that is installed)")


def parse(argv):
    """Splits at the first lone "--" by hand, so that the program's own options stay its own."""
    top = parser()
    own, rest = argv, []
    if "--" in argv:
        own, rest = argv[:argv.index("--")], argv[argv.index("--") + 1:]
    for option in ("--append", "--qemu-args"):  # their values may look like options
        while option in own[:-1]:
            at = own.index(option)
            own = own[:at] + [f"{option}={own[at + 1]}"] + own[at + 2:]
    args = top.parse_args(own)
    if args.command == "diff":
        return args
    args.program += rest
    if args.command != "shell" and not args.program and not getattr(args, "source", None):
        raise UsageError(f"no program given; see corral {args.command} --help")
    check(args)
    return args


def check(args):
    if args.harts is None:
        args.harts = 1 if args.icount and (args.machine, args.firmware) != ("sifive_u", "u-boot") else 4
    args.mem = args.mem or platform.default_memory(args)
    if not re.fullmatch(r"[1-9][0-9]*[KMGkmg]?", args.mem):
        raise UsageError(f"--mem {args.mem}: a number with M or G, like 512M")
    if args.timeout is not None and args.timeout <= 0:
        raise UsageError(f"--timeout {args.timeout:g}: more than 0 seconds")
    platform.check(args)
    if args.icount and args.harts > 1:
        warn(f"--icount with {args.harts} harts: they take turns, so times mean little")


def warn(message):
    print(f"corral: {message}", file=sys.stderr, flush=True)


def find_program(name, build):
    """A path as it is; a bare name also among the built programs."""
    if "/" in name or os.path.isfile(name):
        return name
    for place in ("user", "user/tests"):
        path = os.path.join(build, place, name)
        if os.path.isfile(path):
            return path
    if os.path.isdir(os.path.join(ROOT, "user", name)):
        make(build, "user")
        return os.path.join(build, "user", name)
    raise UsageError(f"{name}: no such file, nor a program in {os.path.join(build, 'user')}")


def is_kernel(path):
    """Whether it starts with a Linux RISC-V Image header, whose magic number is at byte 56 of 64, or is an ELF file."""
    with open(path, "rb") as file:
        header = file.read(64)
    return header[56:60] == b"RSC\x05" or header[:4] == b"\x7fELF"


def find_kernel(args):
    if args.kernel:
        if not os.path.isfile(args.kernel):
            raise UsageError(f"--kernel {args.kernel}: no such file")
        if not is_kernel(args.kernel):
            raise UsageError(f"--kernel {args.kernel}: not a kernel: neither a RISC-V Image nor an ELF file")
        return args.kernel
    path = os.path.join(args.build, "virt-release", "Image")
    if not os.path.isfile(path):
        warn("building the kernel first")
        make(args.build, "image")
    return path


def make(build, target):
    command = ["make", "-s", "-C", ROOT, "-j", str(os.cpu_count() or 1), "O=" + os.path.abspath(build), target]
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    if subprocess.run(command, stdout=sys.stderr.fileno(), env=env, check=False).returncode != 0:
        raise machine.MachineFailed(f"could not build: {shlex.join(command)}")


def add_files(args, archive):
    for spec in args.file:
        host, to = cpio.split_spec(spec)
        try:
            archive.add(host, to)
        except (OSError, ValueError) as error:
            raise UsageError(f"--file {spec}: {getattr(error, 'strerror', None) or error}") from None


def initramfs(args, program, guest):
    archive = cpio.Initramfs()
    add_files(args, archive)
    archive.add(program, guest, 0o755)
    return archive.to_bytes()


def qemu_command(args, kernel, initrd, guest, tty):
    """(QEMU's command line, file descriptors that it inherits)"""
    disks = disk.parse(args.disk)
    card_slot = args.machine == "sifive_u"
    mount = disk.boot_argument(disks, first=int(args.firmware == "u-boot"), card=card_slot)
    words = ["console=mux", f"tty={int(tty)}", "init=" + quote(guest)] + ([quote(mount)] if mount else []) + args.append
    words += ["--"] + [quote(word) for word in args.program[1:]]
    arguments, fds = " ".join(words), []
    if args.firmware == "u-boot":
        boot, fds = platform.by_u_boot(args, kernel, initrd, arguments)
    else:
        boot = platform.direct(args, kernel, initrd, arguments)
    command = [*platform.qemu(args), "-M", platform.machine(args), "-smp", str(platform.processors(args)), "-m", args.mem,
               "-nodefaults", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", *boot]
    command += disk.card_arguments(disks) if card_slot else disk.qemu_arguments(disks, args.virtio)
    if args.icount:
        command += ["-icount", "shift=0,sleep=off,align=off"]
    for more in args.qemu_args:
        try:
            command += shlex.split(more)
        except ValueError as error:
            raise UsageError(f"--qemu-args {more}: {error}") from None
    return command, fds


def prepare(args):
    """(file descriptor of the initramfs to inherit, its path for QEMU, the program's path in the guest)"""
    if args.command == "shell":
        archive = cpio.Initramfs()
        shell.fill(archive, args)
        for name in shell.TOOLS:
            archive.add(find_program(name, args.build), "/bin/" + name, 0o755)
        add_files(args, archive)
        fd, path = machine.memory_file("initramfs", archive.to_bytes())
        return fd, path, shell.INIT
    if args.command == "run" and args.initramfs:
        if not os.path.isfile(args.initramfs):
            raise UsageError(f"--initramfs {args.initramfs}: no such file")
        return None, args.initramfs, args.program[0]
    program = find_program(args.program[0], args.build)
    elf.check_program(program)
    guest = "/bin/" + os.path.basename(program)
    fd, path = machine.memory_file("initramfs", initramfs(args, program, guest))
    return fd, path, guest


def fill_standard_descriptors():
    """Where 0, 1 or 2 is closed, nothing of ours may get that number: QEMU would have it for its own."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def open_log(args):
    path = args.log or os.path.join(args.build, "results", "last-run.log")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        return open(path, "wb"), path
    except OSError as error:
        if args.log:
            raise UsageError(f"--log {path}: {error.strerror}") from None
        return None, None


def run(args):
    kernel = find_kernel(args)
    fd, initrd, guest = prepare(args)
    tty = machine.usable_terminal(0)
    log, path = open_log(args)
    command, fds = qemu_command(args, kernel, initrd, guest, tty)
    guest_machine = machine.Machine(
        command, pass_fds=fds + ([] if fd is None else [fd]), timeout=args.timeout,
        stdin=0, log=log, verbose=args.verbose, all_keys=args.command == "shell")
    try:
        return guest_machine.run()
    except machine.MachineFailed as error:
        if not args.verbose:
            show_tail(bytes(guest_machine.kernel_log), path)
        warn(disk.explain(str(error)))
        return error.status


def run_traced(args):
    source, status = args.source, 0
    out = args.out or os.path.join(args.build, "results", "trace.json")
    folder = os.path.dirname(os.path.abspath(out))
    if args.out and not os.path.isdir(folder):
        raise UsageError(f"{folder}: no such folder")
    if source is None:
        args.append += trace.boot_arguments(args)
        source = args.log = args.log or os.path.join(args.build, "results", "last-run.log")
        status = run(args)
    try:
        warn(trace.write(source, out))
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    except trace.BadTrace as error:
        if status:
            return status
        raise UsageError(f"{source}: {error}") from None
    return status


def show_tail(log, path):
    """The end of the kernel's messages: of Corral's own, where it came that far, not the firmware's banner."""
    lines = log.decode(errors="replace").rstrip().splitlines()
    own = next((i for i, line in enumerate(lines) if re.match(r"\[ *\d+\.\d+\]", line)), 0)
    tail = lines[own:][-TAIL_LINES:]
    if len(tail) < len(lines[own:]) and path:
        warn(f"the last {len(tail)} of {len(lines)} lines of {path}:")
    sys.stderr.write("".join(line + "\n" for line in tail))


def main(argv):
    fill_standard_descriptors()
    machine.wake_on_signals()
    try:
        args = parse(argv)
        return {"diff": diff.run, "trace": run_traced}.get(args.command, run)(args)
    except (UsageError, disk.BadDisk, elf.NotRunnable, platform.Impossible, card.BadImage) as error:
        warn(str(error))
        return 2
    except machine.MachineFailed as error:
        warn(str(error))
        return error.status
    except machine.Interrupted as error:
        warn(f"ended by {signal.Signals(error.signum).name}")
        return 128 + error.signum
    except BrokenPipeError:
        # Nobody reads our output any more: as any filter, quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
