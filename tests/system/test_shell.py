"""corral shell: Debian's busybox on the machine's terminal, typed at as a person would."""
import re
import subprocess

import pexpect
import pytest

from tests.conftest import BUILD, CORRAL, KERNEL

PROMPT = "~ # "


@pytest.fixture(scope="module", autouse=True)
def busybox():
    """Without the package there is nothing to run; it is fetched once, and then used without the network."""
    done = subprocess.run([str(CORRAL.parent / "fetch"), "deb", "busybox-static", "busybox-static"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"busybox-static:riscv64 is not to be had: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture(params=(1, 4))
def shell(request, tmp_path):
    """shell(keys) types, and gives what came on the screen up to the next prompt, without what was typed."""
    log = tmp_path / "kernel.log"
    child = pexpect.spawn(str(CORRAL), ["shell", "--kernel", str(KERNEL), "--build", str(BUILD), "--log", str(log),
                                        "--timeout", "120", "--harts", str(request.param), "--append", "audit=on"],
                          timeout=20, encoding="utf-8", dimensions=(50, 400), echo=False)

    def run(keys):
        child.send(keys)
        child.expect_exact(PROMPT)
        seen = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", child.before).replace("\r\n", "\n")
        return seen.partition("\n")[2]
    run.child, run.log, run.harts = child, log, request.param
    child.expect_exact(PROMPT)
    yield run
    child.close(force=True)


def test_commands(shell):
    assert "no job control" not in shell("\r")
    listing = shell("ls /\r").split()
    assert {"bin", "dev", "etc", "proc", "tmp"} <= set(listing)
    assert shell("echo one two | tr a-z A-Z | cat\r") == "ONE TWO\n"
    assert "/bin/busybox" in shell("cat /proc/self/maps\r")
    assert shell("false; echo $?; sh -c 'exit 7'; echo $?; sh -c 'kill $$'; echo $?\r").split()[0::1][:2] == ["1", "7"]
    assert shell("seq 100000 | sort -n | tail -n 1\r") == "100000\n"
    assert shell("for i in 1 2 3; do echo $i; done > /tmp/x; wc -l < /tmp/x; rm /tmp/x; ls /tmp\r") == "3\n"
    assert shell("stty size\r") == "50 400\n"


def test_editing(shell):
    assert shell("echo wrogn\x08\x08ng\r") == "wrong\n"
    shell.child.send("\x1b[A")  # the line before
    shell.child.expect_exact("echo wrong")
    assert shell("\r") == "wrong\n"
    shell.child.send("cho second\x01")  # to the beginning
    shell.child.expect_exact("cho second")
    assert "second" in shell("e\r")
    shell.child.send("ls /bin/busyb\t")  # a name completed
    shell.child.expect_exact("busybox")
    assert "/bin/busybox" in shell("\r")


def test_jobs(shell):
    shell.child.send("sleep 100\r")
    shell.child.expect_exact("sleep 100")
    shell.child.expect("\n")
    shell("\x03")
    assert shell("echo $?\r") == "130\n"
    shell("sleep 300 &\r")
    assert "sleep 300" in shell("jobs\r")
    assert "Terminated" in shell("kill %1; wait %1; jobs\r")


def test_stop_and_continue(shell):
    shell.child.send("cat\r")
    shell.child.expect_exact("cat")
    shell.child.send("line\r")
    shell.child.expect_exact("line")
    shell.child.expect_exact("line")
    assert "Stopped" in shell("\x1a")
    assert "Stopped" in shell("jobs\r")
    shell.child.send("fg\r")
    shell.child.expect_exact("cat")
    shell.child.send("again\r")
    shell.child.expect_exact("again")
    shell.child.expect_exact("again")
    shell("\x04")
    assert shell("echo $?\r") == "0\n"
    shell("cat &\r")  # reads in the background: stopped
    shell("sleep 1\r")
    assert "Stopped" in shell("jobs\r")
    shell("kill -9 %1; wait\r")


def test_map(shell):
    table = shell("corral-map self\r")
    assert "\x1b" not in table and re.search(r"private +writable +rw-p +anonymous .*\[stack\]\n", table)
    assert "behind detached tables" in table
    for wrong in ("4242", "0", "''", ".", "-1", "self/task", "99999999999999999999"):
        assert shell(f"corral-map {wrong} > /dev/null 2>&1; echo $?\r") in ("1\n", "2\n"), wrong
    assert shell("cp /bin/corral-map /tmp/$(printf 'a\\033b'); cd /tmp; ./a?b self | grep -c 'a?b'; cd /; rm /tmp/a?b\r") != "0\n"


def test_top(shell):
    """A screen that is drawn again, until q; the terminal is then as it was."""
    shell.child.send("corral-top -d 0.2\r")
    for _ in range(3):
        shell.child.expect_exact("\x1b[H")
        shell.child.expect("memory.*[0-9.]+ MiB")
        shell.child.expect("sharing saves")
        shell.child.expect(r"\r\nall +[0-9]|\r\nall ")
    shell("q")
    assert shell("echo back\r") == "back\n"
    plain = shell("TERM=dumb corral-top -n 1 -d 0.1\r")
    assert plain.startswith("top ") and "memory free=" in plain
    # Nobody reads, and nobody is killed for it.
    assert shell("(trap '' PIPE; corral-top --plain -d 0.05; echo $? > /tmp/s) | head -n 1 | cut -c 1-4; cat /tmp/s\r") == "top \n1\n"
    # A terminal that does not know how large it is; Ctrl-Z in the middle.
    shell("stty rows 0 cols 0\r")
    shell.child.send("corral-top -d 0.1\r")
    shell.child.expect_exact("\x1b[H")
    shell.child.expect(rf"\n{shell.harts - 1} +[^\n]*\n")
    assert "Stopped" in shell("\x1a") and "\x1b[?25h" in shell.child.before
    shell.child.send("fg\r")
    for _ in range(2):
        shell.child.expect_exact("\x1b[H")
    shell("q")
    shell.child.send("corral-top -d 100\r")
    shell.child.expect_exact("corral-top -d 100")
    shell.child.expect_exact("\n")
    shell("\x03")
    assert shell("echo back\r") == "back\n"


@pytest.mark.parametrize("keys,status", [("exit 5\r", 5), ("\x04", 0), ("\x1d", 130)], ids=["exit", "eof", "escape"])
def test_end(shell, keys, status):
    shell.child.send(keys)
    shell.child.expect(pexpect.EOF)
    shell.child.close()
    assert shell.child.exitstatus == status
    assert "violations" not in shell.log.read_text(errors="replace")


def test_script():
    done = subprocess.run([str(CORRAL), "shell", "--kernel", str(KERNEL), "--build", str(BUILD), "--timeout", "60"],
                          input="echo $((6 * 7)); exit 9\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (9, "42\n"), done


def test_command():
    done = subprocess.run([str(CORRAL), "shell", "--kernel", str(KERNEL), "--build", str(BUILD), "--timeout", "60", "--",
                           "sh", "-c", "echo $1; exit 4", "x", "two words"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "two words\n"), done
