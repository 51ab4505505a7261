"""scripts/corral by itself, against a guest that tests/system/fake_qemu.py plays."""
import os
import pathlib
import pty
import signal
import struct
import subprocess
import sys
import time

import pexpect
import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CORRAL = ROOT / "scripts" / "corral"

sys.path.insert(0, str(ROOT / "scripts"))
from corral_lib import cli, console, cpio  # noqa: E402


def elf(machine=243, kind=2, interpreter=False, elf_class=2):
    """An ELF header, with one program header."""
    header = b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0x10000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 3 if interpreter else 1, 5, 0, 0x10000, 0, 0, 0, 0x1000)


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "prog"
    path.write_bytes(elf())
    return path


@pytest.fixture
def command(tmp_path, program):
    """command(scenario, *options, args=()) -> the words of a run with the fake."""
    kernel = tmp_path / "Image"
    kernel.write_bytes(bytes(56) + b"RSC\x05" + bytes(4))

    def words(scenario, *options, args=()):
        return [str(CORRAL), "run", "--qemu", str(HERE / "fake_qemu.py"), "--kernel", str(kernel),
                "--log", str(tmp_path / "log"), "--append", f"fake={scenario}", *options, "--", str(program), *args]
    return words


@pytest.fixture
def run(command):
    def start(scenario, *options, args=(), stdin=b"", **more):
        return subprocess.run(command(scenario, *options, args=args), input=stdin, capture_output=True, timeout=30,
                              check=False, **more)
    return start


def gone(pid):
    """Whether a process has ended, in a moment at most."""
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def start_hanging(command):
    process = subprocess.Popen(command("hang"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    return process, int(process.stdout.readline().split()[1])


# ---- The program's output and status

@pytest.mark.parametrize("status", [0, 1, 42, 139, 255])
def test_status_and_channels(run, tmp_path, status):
    done = run(f"exit:{status:02x}")
    assert (done.returncode, done.stdout, done.stderr) == (status, b"out\n", b"err\n")
    assert "corral: hello" in (tmp_path / "log").read_text()


def test_split_sequences(run, tmp_path):
    done = run("split")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"a\x10bc", b"")
    assert "noise" in (tmp_path / "log").read_text()


def test_binary_output(run):
    assert run("binary").stdout == bytes(range(256)) * 4096


def test_verbose(run):
    done = run("exit:00", "--verbose")
    assert b"corral: hello" in done.stderr and done.stdout == b"out\n"


def test_nobody_reads(command):
    process = subprocess.Popen(command("binary"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert process.stderr.read() == b""


# ---- The machine's failures

@pytest.mark.parametrize("scenario", ["panic", "panic_hang"])
def test_panic(run, scenario, monkeypatch):
    done = run(scenario)
    assert done.returncode == 125 and done.stdout == b""
    assert b"CHECK(x) failed" in done.stderr and b"the machine panicked" in done.stderr
    assert b"OpenSBI" not in done.stderr


def test_boot_failure(run):
    done = run("bootfail")
    assert done.returncode == 125
    assert b"no memory in the device tree" in done.stderr and b"stopped before the program ended" in done.stderr


def test_qemu_refuses(run):
    done = run("refuse")
    assert done.returncode == 125 and b"-frobnicate: invalid option" in done.stderr


def test_no_qemu(run, tmp_path):
    done = run("exit:00", "--qemu", str(tmp_path / "nothing"))
    assert done.returncode == 125 and b"No such file" in done.stderr


def test_timeout(run):
    began = time.monotonic()
    done = run("hang", "--timeout", "0.7")
    assert done.returncode == 124 and b"timed out after 0.7 s" in done.stderr
    assert time.monotonic() - began < 10
    assert gone(int(done.stdout.split()[1]))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_qemu_left_behind(command, signum):
    process, pid = start_hanging(command)
    process.send_signal(signum)
    status = process.wait(timeout=20)
    assert status == (-9 if signum == signal.SIGKILL else 128 + signum)
    assert gone(pid)


# ---- Standard input

@pytest.mark.parametrize("data", [b"", b"hello\n", b"\x10Z\x10\x10", bytes(range(256)) * 2000],
                         ids=["empty", "line", "dle", "large"])
def test_pipe(run, data):
    assert run("echo", stdin=data).stdout == data.replace(b"\x10", b"\x10\x10") + b"\x10Z"


def test_file(command, tmp_path):
    (tmp_path / "input").write_bytes(b"from a file")
    with open(tmp_path / "input", "rb") as file:
        done = subprocess.run(command("echo"), stdin=file, capture_output=True, timeout=30, check=False)
    assert done.stdout == b"from a file\x10Z"


def test_null_and_closed(command):
    done = subprocess.run(command("echo"), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert done.stdout == b"\x10Z"
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command("echo")], capture_output=True, timeout=30,
                          check=False)
    assert (done.returncode, done.stdout) == (0, b"\x10Z")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_descriptors_are_not_reused(command, closed):
    """The archive's descriptor is not QEMU's standard input."""
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command("initrd")], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 0 and done.stdout.startswith(b"070701")


def test_end_and_input_at_once(command):
    """The guest is done in the very moment in which our input ends: that is no error."""
    process = subprocess.Popen(command("burst"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"go\n"
    process.send_signal(signal.SIGSTOP)
    process.stdin.close()
    time.sleep(0.8)  # the guest says that it is done, 0.3 s after "go"
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=20) == 3 and process.stderr.read() == b""


def test_input_waits_for_the_guest(run):
    assert run("early", stdin=b"x" * 100).stdout == b"early 0"


def test_terminal(command):
    child = pexpect.spawn(command("keys")[0], command("keys")[1:], timeout=20, dimensions=(30, 100))
    child.expect_exact("keys")
    # The window's size, 30 by 100, came first.
    for byte in b"\x10W001e0064":
        child.expect_exact(f"<{byte}>")
    child.send("a\x10\rq")
    for byte in (97, 16, 16, 13, 113):
        child.expect_exact(f"<{byte}>")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_terminal_is_restored(command):
    main, side = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=side, capture_output=True, check=True).stdout
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(main)
        os.dup2(side, 0)
        import fcntl
        import termios
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.execv(str(CORRAL), command("hang", "--timeout", "1"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 124
    assert subprocess.run(["stty", "-g"], stdin=side, capture_output=True, check=True).stdout == before


def test_control_c_in_terminal(command):
    child = pexpect.spawn(command("hang")[0], command("hang")[1:], timeout=20)
    child.expect(r"pid (\d+)")
    pid = int(child.match[1])
    child.send("\x03")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and gone(pid)


# ---- What QEMU is told

def unquote(text):
    """Words as firmware/boot.h reads them."""
    words, word, quote, i = [], None, "", 0
    while i < len(text):
        c = text[i]
        if c == "\\" and i + 1 < len(text):
            i += 1
            word = (word or "") + text[i]
        elif quote:
            if c == quote:
                quote = ""
            else:
                word += c
        elif c in "\"'":
            quote, word = c, word or ""
        elif c in " \t\n":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + c
        i += 1
    return words + ([word] if word is not None else [])


def test_arguments_arrive(run):
    args = ["plain", "two words", "", "it's", '"quoted"', "back\\slash", "--", "tab\tnew\nline", "ümlaut", "\x01\x7f"]
    text = run("append", args=args).stdout.decode()
    boot, _, program = text.partition(" -- ")
    assert unquote(program) == args
    assert boot.split() == ["console=mux", "tty=0", "init=/bin/prog", "fake=append"]


def test_not_utf8_argument():
    raw = b"\xff\xfe x"
    assert os.fsencode(cli.quote(os.fsdecode(raw))) == b"\xff\xfe\\ x"


def test_qemu_options(run):
    done = run("arguments", "--harts", "3", "--mem", "512M", "--qemu-args", "-d 'a b'", "--icount")
    words = done.stdout.decode().split("\0")
    assert words[words.index("-smp") + 1] == "3" and words[words.index("-m") + 1] == "512M"
    assert words[words.index("-d") + 1] == "a b"
    assert words[words.index("-icount") + 1] == "shift=0,sleep=off,align=off"
    assert b"take turns" in done.stderr


def test_icount_means_one_hart(run):
    words = run("arguments", "--icount").stdout.decode().split("\0")
    assert words[words.index("-smp") + 1] == "1"


def test_initramfs(run, tmp_path, program):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "leaf").write_bytes(b"leaf")
    (tmp_path / "plain.txt").write_bytes(b"text")
    archive = run("initrd", "--file", f"{tmp_path}/plain.txt", "--file", f"{tmp_path}/plain.txt:/etc/other",
                  "--file", f"{tmp_path}/tree:/data").stdout
    names = list(entries(archive))
    assert names == sorted(names)
    assert {"bin", "dev/null", "proc", "tmp", "etc/other", "data/sub"} <= set(names)
    found = entries(archive)
    assert found["bin/prog"] == program.read_bytes()
    assert (found["plain.txt"], found["data/sub/leaf"]) == (b"text", b"leaf")


def entries(data):
    """name -> content of a newc archive, which is checked on the way."""
    assert len(data) % 512 == 0
    at, found = 0, {}
    while True:
        assert data[at:at + 6] == b"070701" and at % 4 == 0
        size, name_size = int(data[at + 54:at + 62], 16), int(data[at + 94:at + 102], 16)
        name = data[at + 110:at + 110 + name_size - 1].decode()
        if name == "TRAILER!!!":
            return found
        at += (110 + name_size + 3) // 4 * 4
        found[name] = data[at:at + size]
        at += (size + 3) // 4 * 4


@pytest.mark.parametrize("words", [[], ["--nonsense"], ["-x", "/bin/true"]])
def test_mkinitramfs_takes_no_option_for_a_file(tmp_path, words):
    done = subprocess.run([str(CORRAL.parent / "mkinitramfs"), *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: " in done.stderr and not done.stdout and not list(tmp_path.iterdir()), done


def test_later_file_wins():
    archive = cpio.Initramfs()
    archive.add_bytes("/a/b", b"12345", 0o755)
    archive.add_bytes("a//b", b"67", 0o755)
    assert entries(archive.to_bytes())["a/b"] == b"67"


# ---- What it refuses

@pytest.mark.parametrize("data,why", [
    (b"#!/bin/sh\n", "is not an ELF executable"),
    (b"", "is not an ELF executable"),
    (elf()[:40], "ELF header is cut off"),
    (elf(machine=62), "is not for riscv64"),
    (elf(elf_class=1), "is not for riscv64"),
    (elf(kind=1), "is not an executable"),
    (elf(interpreter=True), "is dynamically linked"),
    (elf()[:70], "program headers are cut off"),
], ids=["script", "empty", "short", "x86", "rv32", "object", "dynamic", "cut"])
def test_bad_program(run, program, data, why):
    program.write_bytes(data)
    done = run("exit:00")
    assert done.returncode == 2 and done.stdout == b""
    assert why in done.stderr.decode() and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("options,why", [
    (["--harts", "0"], "1 to 8"), (["--harts", "9"], "1 to 8"), (["--mem", "much"], "a number with M or G"),
    (["--timeout", "0"], "more than 0"), (["--file", "/nonexistent"], "No such file"),
    (["--kernel", "/nonexistent"], "no such file"), (["--kernel", "/etc/passwd"], "not a kernel"), (["--qemu-args", "'"], "No closing quotation"),
])
def test_bad_option(run, options, why):
    done = run("exit:00", *options)
    assert done.returncode == 2 and why in done.stderr.decode() and len(done.stderr.splitlines()) == 1


def test_no_such_program(tmp_path):
    kernel = tmp_path / "Image"
    kernel.write_bytes(bytes(56) + b"RSC\x05" + bytes(4))
    done = subprocess.run([str(CORRAL), "run", "--kernel", str(kernel), "--", "nosuch"], capture_output=True,
                          timeout=30, check=False)
    assert done.returncode == 2 and b"nosuch: no such file" in done.stderr


# ---- The decoder

def test_decoder_in_any_pieces():
    stream = b"boot\x10K more\x10Oa\x10\x10b\x10Ee\x10?\x10P\x10Kdump\x10Xff"

    def collect(size):
        decoder, data, rest = console.Decoder(), {}, []
        for i in range(0, len(stream), size):
            for event in decoder.feed(stream[i:i + size]):
                if event[0] == "data":
                    data[event[1]] = data.get(event[1], b"") + event[2]
                else:
                    rest.append(event)
        return data, rest
    for size in range(1, len(stream) + 1):
        data, rest = collect(size)
        assert data == {console.KERNEL: b"boot moredump", console.OUT: b"a\x10b", console.ERR: b"e"}
        assert rest == [("ready",), ("panic",), ("exit", 255)]
