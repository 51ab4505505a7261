"""Corral in QEMU: boots on every size of machine, what it refuses, and how runs end."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pexpect
import pytest

from tests.conftest import BUILD, CORRAL, KERNEL

HARTS = (1, 2, 3, 4, 8)
MEMORY = {"64M": 64, "128M": 128, "1G": 1024, "8G": 8192}


def complaint(outcome):
    """What the machine says of itself when it gives up: its own lines before ours, without their time stamps."""
    lines = [line for line in outcome.err.splitlines() if not line.startswith("corral: ")]
    return "\n".join(re.sub(r"^\[ *[\d.]+\] ", "", line) for line in lines)


# ---- Boots

@pytest.mark.parametrize("mem", MEMORY)
@pytest.mark.parametrize("harts", HARTS)
def test_matrix(corral, programs, harts, mem):
    done = corral(programs / "machine", harts=harts, mem=mem)
    if "cannot set up guest memory" in done.err:
        pytest.skip(f"this host cannot give a guest {mem}")
    assert done.status == 0, done
    match = re.fullmatch(r"harts (\d+) memory (\d+)\n", done.out)
    assert match and int(match[1]) == harts, done
    # The kernel, its coremap (1/64) and the firmware take some.
    assert MEMORY[mem] * 0.8 <= int(match[2]) <= MEMORY[mem], done


@pytest.mark.parametrize("tlb", ["ipi", "rfence"])
def test_release_kernel(corral, programs, tlb):
    done = corral(programs / "machine", harts=4, append=f"tlb={tlb}",
                  options=["--kernel", str(BUILD / "virt-release" / "Image")])
    assert done.status == 0, done


def test_boots_in_a_second(corral, programs):
    """Host time to the first line of the program, on the release kernel; the best of three, as others use the machine."""
    kernel = str(BUILD / "virt-release" / "Image")
    times = []
    for _ in range(3):
        began = time.monotonic()
        done = corral(programs / "die", "return", harts=1, options=["--kernel", kernel])
        times.append(time.monotonic() - began)
        assert done.status == 37, done
    assert min(times) < 1.5, times


def test_elf_kernel(corral, programs):
    done = corral(programs / "die", "return", options=["--kernel", str(KERNEL.with_name("kernel.elf"))])
    assert done.status == 37, done


def test_icount(corral, programs):
    done = corral(programs / "machine", harts=1, options=["--icount"], timeout=120)
    assert done.status == 0, done


# ---- How a program ends

@pytest.mark.parametrize("how,status", [
    ("return", 37), ("exit-255", 255), ("exit-wraps", 0x34), ("segv", 128 + signal.SIGSEGV),
    ("abort", 128 + signal.SIGABRT), ("kill", 128 + signal.SIGKILL), ("ill", 128 + signal.SIGILL),
    ("bus", 128 + signal.SIGBUS),
])
def test_status(corral, programs, how, status):
    done = corral(programs / "die", how)
    assert done.status == status, done


def test_timeout(corral, programs):
    began = time.monotonic()
    done = corral(programs / "echo", timeout=4, options=["--qemu-args", "-S"])
    assert done.status == 124 and "timed out after 4 s" in done.err, done
    assert time.monotonic() - began < 15


def test_interrupt_leaves_nothing(programs):
    process = subprocess.Popen([str(CORRAL), "run", "--kernel", str(KERNEL), "--build", str(BUILD), "--",
                                str(programs / "echo")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"up\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"up\n"
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert children and not any(os.path.exists(f"/proc/{child}") for child in children)
    process.stdin.close()
    process.stdout.close()


# ---- Input and output

@pytest.mark.parametrize("data", [b"", b"one line\n", bytes(range(256)) * 4, b"\x10Z\x10X00\x10\x10" * 100,
                                  b"0123456789abcdef" * 4096], ids=["empty", "line", "bytes", "dle", "64K"])
def test_pipe(corral, programs, data):
    done = corral(programs / "echo", stdin=data, text=False)
    assert done.status == 0, done
    assert done.out in (data, data + b"ok\n")


def test_output_in_order(corral, programs):
    done = corral(programs / "large_output", harts=4)
    assert done.status == 0, done
    numbers = [int(line.split()[1]) for line in done.out.splitlines() if line.startswith("line ")]
    assert numbers == list(range(300)), done


def test_kernel_speaks_in_the_log_only(corral, programs):
    done = corral(programs / "die", "return", append="debug=enosys")
    assert done.out == "" and done.err == "" and done.log != "", done


def test_calls_that_are_lacking_are_named(corral, programs):
    done = corral(programs / "lacks", append="debug=enosys")
    assert (done.status, done.out) == (0, "goes on\n"), done
    assert re.findall(r"enosys: (.*)", done.log) == [
        "lacks (process 1) calls io_setup (0)", "lacks (process 1) calls swapon (224)",
        "lacks (process 1) calls what Linux does not have, either (600)"], done
    assert "enosys:" not in corral(programs / "lacks").log


def test_arguments(corral, programs):
    done = corral(programs / "args", "one", "two words", '-x="q"', "last")
    assert done.status == 0, done


def test_terminal(programs):
    child = pexpect.spawn(str(CORRAL), ["run", "--kernel", str(KERNEL), "--build", str(BUILD), "--timeout", "60", "--",
                                        str(programs / "echo")],
                          timeout=60, encoding="utf-8", dimensions=(30, 100), echo=False)
    child.send("typed\r")
    child.expect_exact("typed")  # the guest's terminal shows it,
    child.expect_exact("typed")  # and the program says it again
    child.send("\x04")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


# ---- What the machine refuses, in one clear line and never in a hang

@pytest.fixture
def bad(corral, tmp_path):
    """Boots with an initramfs of these bytes."""
    def run(data, init="/bin/x", **more):
        path = tmp_path / "initramfs"
        path.write_bytes(data)
        return corral(init, options=["--initramfs", str(path)], **more)
    return run


def initramfs(programs, name="bin/x", data=None):
    from corral_lib import cpio  # put on the path by tests/conftest.py
    archive = cpio.Initramfs()
    archive.add_bytes(name, (programs / "die").read_bytes() if data is None else data, 0o755)
    return archive.to_bytes()


def refused(outcome, *words):
    assert outcome.status == 125, outcome
    said = complaint(outcome)
    assert "panic" not in said.lower(), outcome
    for word in words:
        assert word in said.lower(), outcome


@pytest.mark.parametrize("data", [b"", b"junk" * 1000, b"070701" + b"Z" * 200, b"\x1f\x8b\x08" + b"\0" * 1000],
                         ids=["empty", "junk", "header", "gzip"])
def test_bad_initramfs(bad, data):
    refused(bad(data), "initramfs" if data else "")


def test_truncated_initramfs(bad, programs):
    data = initramfs(programs)
    refused(bad(data[:len(data) // 2]), "initramfs")


def test_no_such_init(bad, programs):
    refused(bad(initramfs(programs), init="/bin/absent"), "/bin/absent")


def test_no_initramfs(corral, programs):
    # The last -initrd counts, and an empty file is none.
    done = corral(programs / "die", "return", options=["--qemu-args", "-initrd /dev/null"])
    refused(done, "init")


@pytest.mark.parametrize("size", [0, 3, 63, 64, 100, 5000])
def test_cut_executable(bad, programs, size):
    refused(bad(initramfs(programs, data=(programs / "die").read_bytes()[:size])), "/bin/x")


@pytest.mark.parametrize("at,value", [(4, 1), (18, 62), (16, 1), (32, 0xFF), (24, 0x01), (54, 3), (56, 0xFF)],
                         ids=["class", "machine", "type", "phoff", "entry", "phentsize", "phnum"])
def test_bad_executable(bad, programs, at, value):
    """A changed byte in the ELF header: refused by the kernel in a line, or the program dies; never a panic or hang."""
    data = bytearray((programs / "die").read_bytes())
    data[at] = value
    done = bad(initramfs(programs, data=bytes(data)))
    assert done.status >= 98 and done.status != 124 and "panic" not in done.err, done


@pytest.mark.parametrize("append,word", [("tlb=sometimes", "tlb=sometimes"), ("init=relative", "init=relative"),
                                         ("audit=maybe", "audit=maybe"), ("fork=never", "fork=never"), ("asid=0", "asid=0"),
                                         ("zero=never", "zero=never"), ("faultaround=3", "faultaround=3"), ("batch=0", "batch=0"),
                                         ("batch=2x", "batch=2x"), ("copy=fast", "copy=fast"),
                                         ("init=/proc/self/exe", "/proc/self/exe"), ("init=/proc/thread-self/exe", "thread-self")])
def test_bad_boot_argument(corral, programs, append, word):
    done = corral(programs / "die", "return", append=append)
    refused(done, word)
    assert len(complaint(done).splitlines()) == 1, done


@pytest.mark.parametrize("place", ["/proc/1", "/proc/self/fd", "/proc/thread-self/x", "/dev/stdin/x", "/dev/null/x"])
def test_bad_place_to_mount_at(corral, programs, place):
    """What is in /proc before there is a process: a line, and nothing is lost by it."""
    done = corral(programs / "die", "return", append=f"audit=on ramdisk=4M mount=ram0:{place}")
    assert done.status == 37 and f"cannot mount ram0 at {place}: its place cannot be made" in done.err and "audit: ok" in done.log, done


def test_unknown_boot_argument(corral, programs):
    """A bare word that nobody knows is said to be ignored; NAME=value is the program's, as on Linux."""
    done = corral(programs / "die", "return", append="nonsense NAME=value")
    assert done.status == 37 and "nonsense" in done.log and "NAME" not in done.log, done
    assert done.err == "corral: unknown boot argument nonsense: ignored\n", done


def test_bad_device_tree(corral, programs, tmp_path):
    """A tree without memory."""
    source = tmp_path / "bad.dts"
    source.write_text('/dts-v1/; / { #address-cells = <2>; #size-cells = <2>; compatible = "riscv-virtio"; '
                      'model = "bad"; chosen { }; cpus { #address-cells = <1>; #size-cells = <0>; '
                      'timebase-frequency = <10000000>; }; };')
    subprocess.run(["dtc", "-q", "-o", str(tmp_path / "bad.dtb"), str(source)], check=True)
    done = corral(programs / "die", "return", timeout=20, options=["--qemu-args", f"-dtb {tmp_path}/bad.dtb"])
    # OpenSBI itself may stop at such a tree: then there is nothing of ours to say.
    assert done.status in (124, 125), done


class Debugger:
    """As much of GDB's remote protocol as it takes to break a machine."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.received = b""
        self.ask(b"qXfer:features:read:target.xml:0,10")  # QEMU talks of single registers only after this

    def ask(self, packet):
        self.socket.sendall(b"$%s#%02x" % (packet, sum(packet) & 0xFF))
        while True:
            match = re.search(rb"\$([^#]*)#..", self.received)
            if not match:
                self.received += self.socket.recv(4096)
                continue
            self.received = self.received[match.end():]
            self.socket.sendall(b"+")
            if not match[1].startswith(b"T"):  # it says unasked that the machine has stopped
                return match[1]

    def jump(self, hart, address):
        """Makes a hart (1 is the first) go on at an address. False where it is not in the kernel."""
        assert self.ask(b"Hg%x" % hart) == b"OK"
        pc = int.from_bytes(bytes.fromhex(self.ask(b"p20").decode()), "little")
        return pc >> 63 == 1 and self.ask(b"P20=" + address.to_bytes(8, "little").hex().encode()) == b"OK"


def test_panic(programs, tmp_path):
    """A hart that goes astray in the kernel: registers, a backtrace with names, the others stopped, status 125."""
    path = tmp_path / "gdb"
    process = subprocess.Popen(
        [str(CORRAL), "run", "--kernel", str(KERNEL), "--build", str(BUILD), "--log", str(tmp_path / "log"), "--harts", "4",
         "--timeout", "60", "--qemu-args", f"-chardev socket,path={path},server=on,wait=off,id=gdb -gdb chardev:gdb",
         "--", str(programs / "echo")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"up\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"up\n"
    time.sleep(0.5)  # all harts are idle by now
    boot_hart = int(re.search(r"Boot HART ID *: (\d+)", (tmp_path / "log").read_text())[1])
    debugger = Debugger(str(path))
    assert debugger.jump(boot_hart + 1, 0xDEAD000)
    debugger.ask(b"D")
    process.stdin.write(b"wakes the boot hart, which takes the console's interrupts\n")
    process.stdin.flush()
    errors = process.stderr.read().decode(errors="replace")
    assert process.wait(timeout=30) == 125, errors
    process.stdin.close()
    process.stdout.close()
    assert "the machine panicked" in errors and "dead000" in errors, errors
    assert re.search(r"\bsp\b", errors) and "idle" in errors, errors


def test_program_cannot_panic(corral, programs):
    """A thread that faults while others run ends its process and nothing else."""
    done = corral(programs / "die", "thread-segv", harts=4)
    assert done.status == 128 + signal.SIGSEGV, done
