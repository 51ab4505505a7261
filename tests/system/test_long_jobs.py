"""Long jobs: on a terminal they say how long they take; Ctrl-C leaves no QEMU behind, and what there was can be read; without a terminal they say nothing of it."""
import io
import json
import os
import re
import subprocess
import time
import types

import pexpect
import pytest
from conftest import BUILD, ROOT
from corral_lib import flash, progress
from test_flash import FLASH, MIB, image, loop  # noqa: F401  pylint: disable=unused-import

LEFT = r"about (?:\d+ min )?\d+ s left"


def processes():
    """pid -> (parent, when it began, its name)"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2:].split()
        if fields[0] != "Z":
            found[int(pid)] = (int(fields[1]), fields[19], text[text.index("(") + 1:text.rindex(")")])
    return found


def family(pid):
    """(pid, began, name) of all that it has started, directly or not."""
    known, found, parents = processes(), set(), {pid}
    while parents:
        children = {child for child, (parent, _, _) in known.items() if parent in parents}
        found |= {(child, *known[child][1:]) for child in children}
        parents = children
    return found


def begin(script, *words, folder):
    """A job on a terminal whose Ctrl-C reaches all processes of the job, as in a shell."""
    build = folder / "build"
    build.mkdir()
    for name in ("user", "perf", "virt-release", "virt-debug", "debian"):
        (build / name).symlink_to((BUILD if (BUILD / name).exists() else ROOT / "build") / name)
    return pexpect.spawn(str(ROOT / "scripts" / script), ["--build", str(build), *words], timeout=150, dimensions=(24, 100), encoding="utf-8", codec_errors="replace"), build


def interrupt(child, what="qemu"):
    """Ctrl-C while a QEMU (or what else) of its runs: (what it said then, its status). All that it started is gone afterwards."""
    until = time.monotonic() + 90
    while not any(name.startswith(what) for _, _, name in family(child.pid)) and time.monotonic() < until:
        time.sleep(0.1)
    started = family(child.pid)
    assert any(name.startswith(what) for _, _, name in started), child.before
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    left = {(pid, began, name) for pid, (_, began, name) in processes().items()}
    assert not started & left
    assert "Traceback" not in child.before, child.before
    return child.before, child.exitstatus


def test_sweep(tmp_path):
    child, build = begin("sweep", "--harts", "1", "--filter", "^(cow_copy|zero_fill)$", "fork", "cow,tables", folder=tmp_path)
    child.expect(rf"sweep: 1 of 2, fork=cow, 1 hart; {LEFT}")
    child.expect(rf"sweep: 2 of 2, fork=tables, 1 hart; {LEFT}")
    said, status = interrupt(child)
    assert status == 130 and re.search(r"cow_copy +[\d,]+ +-", said) and "as far as it came in" in said, said
    done = json.loads((build / "results" / "sweep-fork.json").read_text())
    assert not done["complete"] and list(done["results"]) == ["cow"]


def test_compare(tmp_path):
    """While Linux runs, a QEMU that is compare's own child."""
    fetched = subprocess.run([str(ROOT / "scripts" / "fetch"), "deb", "linux", r"linux-image-6\.12\.[0-9]+\+deb13-riscv64", "./boot/*"], capture_output=True, check=False)
    if fetched.returncode:
        pytest.skip("Linux's kernel cannot be fetched")
    child, build = begin("compare", "--filter", "^(cow_copy|null_syscall)$", "--sizes", "1", "instructions", folder=tmp_path)
    child.expect(rf"compare: 1 of 3, instructions, Corral; {LEFT}")
    child.expect(rf"compare: 2 of 3, instructions, Linux, THP never; {LEFT}")
    said, status = interrupt(child)
    assert status == 130 and re.search(r"cow_copy +1,[\d,]+ +- ", said) and "as far as it came in" in said, said
    done = json.loads((build / "results" / "compare.json").read_text())
    assert not done["complete"] and {row["name"]: row["linux_never"] for row in done["instructions"]} == {"cow_copy": None, "null_syscall": None}


def test_report(tmp_path):
    """The page has what was measured, and says what was not."""
    child, build = begin("report", "--most-harts", "1", folder=tmp_path)
    child.expect(rf"report: 3 of 4, profile; {LEFT}")
    said, status = interrupt(child)
    text = (build / "results" / "report.html").read_text(encoding="utf-8")
    assert status == 130 and 'id="plot-fault"' in text and 'id="plot-cow"' not in text and "Not measured: profile: ended early" in text, said
    assert "faults" in json.loads((build / "results" / "report.json").read_text())


def test_torture(tmp_path):
    child, _ = begin("torture", "run", "--minutes", "5", "--seed", "1", folder=tmp_path)
    child.expect(rf"torture: 0 runs, 0 failed; {LEFT}")
    child.expect(r"1/\d+: .*: \d+ s\r\n")
    said, status = interrupt(child)
    assert status == 130 and "FAILED" not in said and "| kind | runs | failed | seconds |" in said and re.search(r"\| 1 \| 0 \| \d+ \|", said), said
    assert "torture: ended early" in said


def test_perf(tmp_path):
    child, build = begin("perf", "shootdown", folder=tmp_path)
    child.expect(rf"perf: 1 of 1, shootdown; {LEFT}")
    assert interrupt(child)[1] == 130 and (build / "results" / "perf.json").exists()


# ---- Programs of this machine, several at once

def test_model(tmp_path):
    child, build = begin("model", "--short", "epoch", "cow", folder=tmp_path)
    child.expect(rf"model, short: \d of 4, [\w, ]+; {LEFT}")
    child.expect(r"epoch +- +\d+ +\d+\.\d  holds\r\n")
    said, status = interrupt(child, "pan")
    assert status == 130 and re.search(r"\d runs, 0 wrong; ended early: \d are left", said), said
    assert "model, short epoch" in json.loads((build / "results" / "seconds.json").read_text())


def test_prove(tmp_path):
    child, _ = begin("prove", "--short", folder=tmp_path)
    child.expect(rf"prove: \d of \d+, [\w., ]+; {LEFT}")
    said, status = interrupt(child, "")
    assert status == 130 and re.search(r"\d+ runs, 0 wrong; ended early: \d+ are left", said), said


def test_mutants(tmp_path):
    child, _ = begin("mutants", "--count", "1", folder=tmp_path)
    child.expect(r"mutants: 0 of 1, 0 survived; the tests on the sources as they are; about (59|60) min")
    said, status = interrupt(child, "cc1")
    assert status == 130 and "0 of 0 caught; ended early" in said, said


def test_coverage(tmp_path):
    """What was counted until then is shown, and not judged."""
    child, build = begin("coverage", folder=tmp_path)
    child.close(force=True)
    counted = build / "unit" / "coverage"
    (counted / "obj" / "mm").mkdir(parents=True)
    command = ["gcc", "-std=gnu11", "-O0", "--coverage", "-DCORRAL_DEBUG", "-I.", "-Itests/fakes/include", "-c", "mm/buddy.c", "-o"]
    subprocess.run([*command, counted / "obj" / "mm" / "buddy.o"], cwd=ROOT, check=True)
    for name in ("one", "two"):
        (counted / f"test_{name}").write_text(f"#!/bin/sh\n[ {name} = one ] || sleep 1000\n")
        (counted / f"test_{name}").chmod(0o755)
    child = pexpect.spawn(str(ROOT / "scripts" / "coverage"), ["--build", str(build)], timeout=60, dimensions=(24, 100), encoding="utf-8")
    child.expect(rf"coverage, 100 % of the steps: 2 of 2, two; {LEFT}")
    said, status = interrupt(child, "sleep")
    assert status == 130 and re.search(r"mm/buddy\.c +\d+ ", said) and "ended early: this is as far as it came" in said and "programs failed" not in said, said
    assert not json.loads((build / "results" / "coverage.json").read_text())["complete"]


def test_conformance(tmp_path):
    """What has come to an end until then is compared. Of three cases, with a Linux of which all is known."""
    _, build = begin("conformance", "--help", folder=tmp_path)
    code = f"""
import importlib.machinery, importlib.util, sys, types
sys.argv = ["conformance", "--build", "{build}", "--harts", "1", "--jobs", "1"]
loader = importlib.machinery.SourceFileLoader("conformance", "scripts/conformance")
job = importlib.util.module_from_spec(importlib.util.spec_from_loader("conformance", loader))
loader.exec_module(job)
job.suites.SUITES = {{"user": lambda build: [job.suites.Case(f"user/cat{{i}}", build + "/user/tests/cat") for i in range(3)]}}
job.Linux = lambda args: types.SimpleNamespace(run=lambda wanted: {{case.name: job.Run(0, "") for case in wanted}})
job.machine.wake_on_signals()
job.main()
"""
    child = pexpect.spawn("/usr/bin/python3", ["-c", code], cwd=str(ROOT), timeout=60, dimensions=(24, 100), encoding="utf-8", codec_errors="replace")
    child.expect(rf"conformance, corral-1: 2 of 3, user/cat1; {LEFT}")
    said, status = interrupt(child)
    done = json.loads((build / "results" / "conformance.json").read_text())
    assert status == 130 and not done["complete"] and [row["case"] for row in done["runs"][0]["results"]] == ["user/cat0"], said
    assert "1 harts, 1 cases: 1 pass on Linux, 1 on Corral" in said and "ended early: as far as it came in" in said, said


def test_several_steps_at_once(tmp_path, monkeypatch):
    """What runs, how many have begun, and how long: the rest on so many processors, and no less than what runs needs."""
    now = [100.0]
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    with progress.Progress("job", tmp_path / "seconds.json", "abcd", typical=20, stream=io.StringIO(), at_once=2) as one:
        assert one.text() is None
        one.begin("a")
        one.begin("b")
        assert one.text() == "job: 2 of 4, a, b; about 40 s left"
        now[0] = 110.0
        one.end("a")
        one.begin("c")
        assert one.text() == "job: 3 of 4, b, c; about 25 s left"
        one.end("b")
        one.end("c")
        one.begin("d")
        assert one.text() == "job: 4 of 4, d; about 20 s left"
    assert json.loads((tmp_path / "seconds.json").read_text()) == {"job a": 10.0, "job b": 10.0, "job c": 0.0, "job d": 0.0}
    assert one.line.stream.getvalue() == ""


def test_flash_says_what_is_on_the_card(loop, image):  # noqa: F811
    """Before a word is written, and in the middle of it."""
    device, path = loop(256)
    with open(image, "ab") as file:
        file.truncate(250 * MIB)
    child = pexpect.spawn(FLASH, ["--fixed", str(image), device], timeout=60, encoding="utf-8", echo=False)
    child.expect_exact("to go on: ")
    child.sendintr()
    child.expect_exact("flash: stopped: nothing was written")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and not any(path.read_bytes()[:MIB])
    child = pexpect.spawn(FLASH, ["--fixed", "--yes", str(image), device], timeout=60, encoding="utf-8", echo=False)
    child.expect(r"written: \d+ of 250 MiB, \d %")
    child.sendintr()
    child.expect_exact("flash: stopped: what is on the card now is no system")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and "Traceback" not in child.before


def test_flash_says_how_long(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    out, now = Terminal(), [100.0]
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr(flash, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setenv("TERM", "xterm")
    shown = flash.Progress("written", 100 * MIB)
    for done, at in ((1, 101.0), (10, 110.0), (100, 200.0)):
        now[0] = at
        shown.show(done * MIB)
    assert out.getvalue().split("\r\033[K")[1:] == ["written: 1 of 100 MiB, 1 %", "written: 10 of 100 MiB, 10 %; about 1 min 30 s left", "written: 100 of 100 MiB, 100 %\n"]


def test_a_line_is_drawn_again(tmp_path):
    """As time goes on, not only when a step begins; and never on a terminal that is dumb."""
    code = ("import sys, time; sys.path.insert(0, 'scripts'); from corral_lib.progress import Progress\n"
            f"with Progress('job', '{tmp_path}/seconds.json', ('a',), 30) as one:\n    one.begin('a'); time.sleep(2.4)\nprint('done')")
    child = pexpect.spawn("/usr/bin/python3", ["-c", code], cwd=str(ROOT), timeout=30, encoding="utf-8", env=dict(os.environ, TERM="xterm"))
    for left in (30, 29, 28):
        child.expect_exact(f"\r\033[Kjob: 1 of 1, a; about {left} s left")
    child.expect_exact("\r\033[Kdone")
    child = pexpect.spawn("/usr/bin/python3", ["-c", code], cwd=str(ROOT), timeout=30, encoding="utf-8", env=dict(os.environ, TERM="xterm"), dimensions=(24, 12))
    child.expect_exact("\r\033[Kjob: 1 of 1\r\033[K")  # never as wide as the terminal, where it would go on in the next line
    child.expect(pexpect.EOF)
    child = pexpect.spawn("/usr/bin/python3", ["-c", code], cwd=str(ROOT), timeout=30, encoding="utf-8", env=dict(os.environ, TERM="dumb"))
    child.expect(pexpect.EOF)
    assert child.before == "done\r\n"
    assert not progress.Line(lambda: "x", io.StringIO()).terminal
