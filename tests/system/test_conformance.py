"""
scripts/conformance: how it reads what programs print and judges, and, where its packages have been fetched already, a few of
its cases on both systems.
"""
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys

import pytest

from conftest import BUILD, KERNEL, ROOT

PACKAGES = ("linux", "busybox-static", "selftests", "uapi", "libcap")


@pytest.fixture(scope="module")
def conformance():
    path = str(ROOT / "scripts" / "conformance")
    loader = importlib.machinery.SourceFileLoader("conformance", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("conformance", loader))
    sys.modules["conformance"] = module  # dataclasses look themselves up
    loader.exec_module(module)
    return module


def case_of(conformance, **more):
    return conformance.suites.Case("suite/x", "/x", **more)


TAP = """TAP version 13
1..6
# [RUN] first
ok 1 it works
# [RUN] second
not ok 2 it works # at 0x3fff1234
ok 3 # SKIP no such thing
ok 4 # XFAIL known
  ok 5 - deep
ok 5 - deep
not okay
"""


def test_tap(conformance):
    assert list(conformance.subcases(TAP)) == [
        ("first: it works", "pass"), ("second: it works # at 0x…", "fail"), ("second: no such thing", "skip"),
        ("second: known", "skip"), ("second: deep", "pass"), ("second: deep (2)", "pass")]


def test_the_lines_of_nolibc_test(conformance):
    output = "0 getpid = 15104      [OK]\n1 getpid = -1 ESRCH  [FAIL]\n12 chroot_exe            [SKIPPED]\nErrors: 0\n"
    assert list(conformance.subcases(output)) == [("getpid", "pass"), ("getpid (2)", "fail"), ("chroot_exe", "skip")]


@pytest.mark.parametrize("status,output,log,more,expected", [
    (0, "ok\n", "", {"ends": "ok\n"}, "pass"),
    (0, "oh\n", "", {"ends": "ok\n"}, "fail"),
    (0, "two", "", {"out": "one"}, "fail"),
    (1, "ok\n", "", {}, "fail"),
    (4, "", "", {}, "skip"),
    (4, "", "", {"status": 4}, "pass"),
    (139, "", "", {"status": 139}, "pass"),
    (0, "", "corral: audit: ok, 5 frames", {}, "pass"),
    (0, "", "corral: audit: 1 frames were not given back", {}, "fail"),
    (0, "", "corral: panic", {}, "fail"),
])
def test_result(conformance, status, output, log, more, expected):
    run = conformance.Run(status, output, log)
    assert conformance.results(case_of(conformance, **more), run) == {"suite/x": expected}


def test_a_case_that_one_side_does_not_come_to(conformance):
    linux = conformance.Run(0, "ok 1 one\nok 2 two\n")
    mine = conformance.Run(139, "ok 1 one\n")
    rows = list(conformance.compare(case_of(conformance, tap=True), linux, mine))
    assert rows == [("suite/x", "pass", "fail"), ("suite/x: one", "pass", "pass"), ("suite/x: two", "pass", "-")]


@pytest.mark.parametrize("linux,mine,expected", [
    ("pass", "pass", "same"), ("pass", "fail", "FALLS SHORT"), ("pass", "-", "FALLS SHORT"), ("pass", "skip", "FALLS SHORT"),
    ("fail", "pass", "ahead"), ("skip", "fail", "same"), ("fail", "fail", "same"), ("-", "pass", "ahead"),
])
def test_verdict(conformance, linux, mine, expected):
    assert [row[3:] for row in conformance.judge([("a/b", linux, mine)], [])] == [(expected, "")]
    known = [(re.compile("a/c"), "another"), (re.compile("a/.*"), "because")]
    reason = [row[3:] for row in conformance.judge([("a/b", linux, mine)], known)]
    assert reason == [("reason", "because") if expected == "FALLS SHORT" else (expected, "")]


def test_expected_results_are_readable(conformance):
    assert all(text for _, text in conformance.reasons())


def test_a_few_on_both():
    missing = [name for name in PACKAGES if not (ROOT / "build" / "debian" / name / "origin").exists()]
    if missing:
        pytest.skip(f"not fetched yet, which make conformance does: {', '.join(missing)}")
    done = subprocess.run(
        [str(ROOT / "scripts" / "conformance"), "--build", str(BUILD), "--kernel", str(KERNEL), "--harts", "1,2", "--only",
         "^(mm/map_fixed_noreplace|sigaltstack/sas|user/(args|echo|die-segv))$"],
        capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((BUILD / "results" / "conformance.json").read_text())
    assert [run["harts"] for run in results["runs"]] == [1, 2]
    for run in results["runs"]:
        assert run["passed"]["linux"] > 10 and run["verdicts"]["FALLS SHORT"] == 0
    assert done.stdout.count("mm/map_fixed_noreplace: mmap() PAGE_SIZE at base ") == 1, "a table says what the first one said"
