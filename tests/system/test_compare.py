"""make compare, corral diff, and how long jobs say what they do and end: with made-up figures, but for one benchmark that is interrupted."""
import glob
import json
import os
import re
import subprocess
import sys
import types

import pexpect
import pytest

from tests.conftest import BUILD, CORRAL, LONG, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from corral_lib import diff, progress  # noqa: E402
from perf_lib import compare, gbench, lines, runs  # noqa: E402

GBENCH = "/usr/share/benchmark/compare.py"


def bench(figures, icount=True, harts=1, repetitions=3, spread=0.0):
    """A result of make bench: name -> ns."""
    entries = []
    for name, ns in figures.items():
        times = [ns * (1 + spread * (i - repetitions // 2)) for i in range(repetitions)]
        for i, time in enumerate(times):
            entries.append({"name": name, "run_name": name, "run_type": "iteration", "repetitions": repetitions, "repetition_index": i, "threads": 1,
                            "iterations": 10, "real_time": time, "cpu_time": time, "time_unit": "ns", "ipis": 1.0, "fences": 2.0})
        entries += [{"name": f"{name}_{which}", "run_name": name, "run_type": "aggregate", "aggregate_name": which, "repetitions": repetitions,
                     "threads": 1, "iterations": repetitions, "real_time": of(times), "cpu_time": of(times), "time_unit": "ns"}
                    for which, of in (("min", min), ("median", lambda values: sorted(values)[len(values) // 2]), ("max", max))]
    return {"context": {"icount": icount, "harts": harts}, "benchmarks": entries}


@pytest.fixture
def files(tmp_path):
    def write(*results):
        for i, result in enumerate(results):
            (tmp_path / f"{i}.json").write_text(json.dumps(result), encoding="ascii")
        return [str(tmp_path / f"{i}.json") for i in range(len(results))]
    return write


def run_diff(*words):
    return subprocess.run([str(CORRAL), "diff", *words], capture_output=True, text=True, check=False)


# ---- corral diff

@pytest.mark.parametrize("before,after,options,status", [
    (bench({"a": 100.0}), bench({"a": 100.01}), [], 0), (bench({"a": 100.0}), bench({"a": 101.0}), [], 1),
    (bench({"a": 100.0}), bench({"a": 99.0}), ["--worse"], 0), (bench({"a": 100.0}), bench({"a": 101.0}), ["--worse"], 1),
    (bench({"a": 100.0}, icount=False, spread=0.2), bench({"a": 115.0}, icount=False, spread=0.01), [], 0),
    (bench({"a": 100.0}, icount=False, spread=0.01), bench({"a": 115.0}, icount=False, spread=0.01), [], 1),
    (bench({"a": 100.0}, icount=False, spread=0.001), bench({"a": 103.0}, icount=False, spread=0.001), [], 0),
    (bench({"a": 100.0}, icount=False, repetitions=1), bench({"a": 900.0}, icount=False, repetitions=1), [], 0),
    (bench({"a": 1.0}), bench({"a": 1.0, "b": 1.0}), [], 1), (bench({"a": 1.0, "b": 1.0}), bench({"a": 1.0}), ["--worse"], 1)])
def test_only_what_is_more_than_noise(files, before, after, options, status):
    assert run_diff(*files(before, after), *options).returncode == status


def test_a_difference_is_shown_and_written(files):
    names = files(bench({"a": 100.0, "b": 7.0}), bench({"a": 150.0, "b": 7.0}))
    done = run_diff(*names)
    assert re.search(r"^a +instructions +100 +150 +\+50\.0 % +worse$", done.stdout, re.M) and "\nb " not in done.stdout, done
    rows = json.loads(run_diff(*names, "--json").stdout)["rows"]
    assert {(row["name"], row["what"]): row["verdict"] for row in rows} == {
        ("a", "ns"): "worse", ("a", "ipis"): "same", ("a", "fences"): "same", ("b", "ns"): "same", ("b", "ipis"): "same", ("b", "fences"): "same"}


@pytest.mark.parametrize("second", [bench({"a": 1.0}, icount=False), bench({"a": 1.0}, harts=4), {"other": 1}, {"benchmarks": [{"x": 1}]}, []])
def test_what_cannot_be_compared_is_refused(files, second):
    done = run_diff(*files(bench({"a": 1.0}), second))
    assert done.returncode == 2 and done.stderr.startswith("corral: ") and len(done.stderr.splitlines()) == 1, done
    assert run_diff("/nowhere", "/nowhere").returncode == 2


def test_two_comparisons_can_be_compared(files):
    def one(value):
        return {"context": {"linux_arguments": "x"}, "instructions": [{"name": "a", "corral": value, "linux_never": 9.0, "less": {}}],
                "shared": [{"case": "c", "harts": 2, "corral": {"ipis": 0, "fences": 1, "touches": 0}, "less": {}}]}
    rows, exact = diff.compare(*[diff.load(name) for name in files(one(5.0), one(4.0))])
    assert exact and [row["name"] for row in rows if row["verdict"] == "better"] == ["a, corral"]


# ---- Google Benchmark's own tool

def test_compare_py_takes_our_json(tmp_path):
    """Of what the benchmark on Corral itself writes."""
    if not os.path.exists(GBENCH):
        pytest.skip("needs Google Benchmark's compare.py: package libbenchmark-tools")
    if subprocess.run(["/usr/bin/python3", "-c", "import scipy"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("compare.py needs python3-scipy")
    out = tmp_path / "bench.json"
    done = subprocess.run([str(ROOT / "scripts" / "bench"), "--build", str(BUILD), "--harts", "1", "--icount", "--filter", "^(null_syscall|zero_read)$",
                           "--out", str(out), "--", "--quick"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "[1/" not in done.stderr and "\033" not in done.stderr, done
    done = subprocess.run(["/usr/bin/python3", GBENCH, "--no-color", "benchmarks", str(out), str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and re.search(r"^null_syscall +\+0\.0000 +\+0\.0000 ", done.stdout, re.M), done
    assert run_diff(str(out), str(out)).returncode == 0


# ---- Compare

FEW = types.SimpleNamespace(part=list(compare.PARTS), harts=[2], thp=["never", "always"], filter=None, sizes="1", steps=8)


def measured(touches):
    return {case: {"ipis": 1.0, "fences": 2.0, "kernel": {"touches": touches, "transfers": 3.0}} for case in lines.LINUX_CASES}


@pytest.fixture
def compared(monkeypatch):
    """The results of a comparison of made-up figures, and what was saved on the way."""
    def corral(_args, harts, _pattern, *_, **__):
        return {"quick": {"ns": 10.0}, "slow": {"ns": 30.0}, f"harts:{harts}": {"ns": 5.0}, "skipped": None}
    monkeypatch.setattr(runs, "bench", corral)
    monkeypatch.setattr(runs, "bench_on_linux", lambda *_, thp, **__: {"quick": {"ns": 20.0}, "slow": {"ns": 15.0 if thp == "always" else 30.0},
                                                                         "kernel": "6.12"})
    monkeypatch.setattr(lines, "on_corral", lambda *_, **__: measured(0.001))
    monkeypatch.setattr(lines, "on_linux", lambda *_: measured(5.0))
    saved, steps = [], []
    job = compare.Comparison(FEW, steps.append, lambda results: saved.append(json.loads(json.dumps(results))))
    job.run()
    assert steps == job.names()
    return job.results, saved


def test_where_linux_wins_is_said(compared):
    results, saved = compared
    assert results["complete"] and results["linux"] == "6.12" and not saved[0]["complete"] and saved[0]["instructions"]
    less = {row["name"]: row["less"] for row in results["instructions"]}
    assert less["quick"] == {"linux_never": "Corral", "linux_always": "Corral"}
    assert less["slow"] == {"linux_never": "", "linux_always": "Linux"}
    assert less["skipped"] == {"linux_never": None, "linux_always": None}
    assert compare.linux_wins(results) == ["slow: 15 instructions, Corral 30 (THP always)"]
    heads, rows = compare.instruction_table(results)
    assert heads[1:3] == ("Corral", "Linux, THP never") and ("slow", "30", "30", "1.00", "alike", "15", "0.50", "Linux") in rows
    assert {row["less"]["linux_never"]["touches"] for row in results["shared"]} == {"Corral"}
    assert [row["linux_by_corral"] for row in results["wall"]] == [2.0, 1.0]
    for heads, rows in (compare.shared_table(results, 2), compare.wall_table(results)):
        assert rows and {len(row) for row in rows} == {len(heads)}


def test_what_linux_had_no_time_for_is_said(monkeypatch, compared):
    monkeypatch.setattr(lines, "on_linux", lambda *_: {case: figures for case, figures in measured(5.0).items() if case != "cow_disjoint"})
    job = compare.Comparison(FEW, lambda _: None, lambda _: None)
    job.run()
    assert job.results["cut"] == [f"Linux, THP {thp}, 2 harts: no time was left for cow_disjoint (--timeout)" for thp in ("never", "always")]
    assert compared[0]["cut"] == []


def test_a_linux_that_fails_leaves_the_rest(monkeypatch, compared):
    def fail(*_, **__):
        raise runs.Failed("it does not come up")
    monkeypatch.setattr(runs, "bench_on_linux", fail)
    job = compare.Comparison(FEW, lambda _: None, lambda _: None)
    job.run()
    assert not job.results["complete"] and set(job.results["failed"].values()) == {"it does not come up"}
    assert job.results["instructions"][0]["corral"] == 10.0 and job.results["shared"]
    assert compared[0]["complete"]


@LONG
def test_compare_by_itself():
    done = subprocess.run([str(ROOT / "scripts" / "compare"), "--build", str(BUILD), "--harts", "2", "--thp", "never", "--steps", "16", "--sizes", "1",
                           "--filter", "^(null_syscall|cow_copy)$"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done
    with open(BUILD / "results" / "compare.json", encoding="utf-8") as file:
        results = json.load(file)
    assert results["complete"] and {row["name"]: row["less"]["linux_never"] for row in results["instructions"]} == {
        "null_syscall": "Corral", "cow_copy": "Corral"}


# ---- Progress and the end

def test_an_estimate_from_the_last_time(tmp_path):
    path = str(tmp_path / "seconds.json")
    with progress.Progress("job", path, ("a", "b")) as one:
        one.begin("a")
        one.begin("b")
    assert set(json.loads((tmp_path / "seconds.json").read_text())) == {"job a", "job b"}
    (tmp_path / "seconds.json").write_text('{"job a": 50, "job b": 25}')
    with progress.Progress("job", path, ("a", "b"), stream=open(os.devnull, "w", encoding="ascii")) as two:  # pylint: disable=consider-using-with
        two.begin("a")
        assert two.text() == "job: 1 of 2, a; about 1 min 15 s left"


@pytest.mark.parametrize("cut", (1, 200, 900, 3000))
def test_results_that_are_cut_short_are_read(cut):
    text = json.dumps(bench({"a": 1.0, "b": 2.0, "c": 3.0}), indent=2)
    text = text[:-cut]
    done = gbench.load(text)
    assert not done["context"]["complete"]
    names = [name for name in "abc" if any(entry["run_name"] == name for entry in done["benchmarks"])]
    assert names == list("abc")[:len(names)] and len(names) < 3 or cut == 1
    assert gbench.load("{") is None


def with_word(word):
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if word.encode() in file.read():
                    found.append(path)
        except OSError:
            pass
    return found


def test_control_c_leaves_no_qemu_and_what_there_was(tmp_path):
    out, word = tmp_path / "bench.json", f"MARK=corral{os.getpid()}"
    child = pexpect.spawn(str(ROOT / "scripts" / "bench"), ["--build", str(BUILD), "--harts", "1", "--append", word, "--out", str(out), "--", "--quick",
                                                            "--repetitions=1"], timeout=60, dimensions=(24, 100))
    child.expect(r"bench: [4-9] of \d+, \S+; about \d+ .*left")
    assert with_word(word)
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and b"as far as it came" in child.before and b"floor" in child.before, child.before
    done = json.loads(out.read_text())
    assert not done["context"]["complete"] and {"floor", "floor/trap"} <= {entry["run_name"] for entry in done["benchmarks"]}
    assert with_word(word) == []
