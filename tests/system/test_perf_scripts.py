"""scripts/perf and scripts/perf_lib: how figures are judged, and that each part runs, in a small form."""
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.environ.get("CORRAL_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from perf_lib import counts, growth, lines, runs, shootdown  # noqa: E402


class Args:
    """What scripts/perf takes from its command line."""

    def __init__(self):
        self.build, self.kernel = BUILD, os.path.join(BUILD, "virt-release", "Image")
        self.mem, self.timeout, self.harts = "512M", 120, 2
        os.makedirs(os.path.join(BUILD, "results"), exist_ok=True)


def rows(figure, *values):
    return [{"axis": "MiB", "at": 10**i, "figure": figure, "value": value} for i, value in enumerate(values)]


@pytest.mark.parametrize("figure,values,verdict", [
    ("fork_call", (100, 120, 150), "ok"), ("fork_call", (100, 151, 90), "GROWS"), ("fork_call", (100, 10), "ok"),
    ("zero_fill ipis", (0, 0.05), "ok"), ("zero_fill ipis", (0, 1), "GROWS"),
    ("fault_disjoint lines", (0, 0.009), "ok"), ("fault_disjoint lines", (0, 0.02), "GROWS"),
    ("fork_call", (100, None), "NOT MEASURED")])
def test_a_curve_is_judged(figure, values, verdict):
    judged, = growth.judge(rows(figure, *values))
    assert judged["verdict"] == verdict
    assert judged["met"] == (verdict == "ok")


@pytest.mark.parametrize("last,met", [(300, True), (301, False)])
def test_a_curve_that_grows_may_be_explained(last, met):
    explained = [{"axis": "MiB", "figure": "fork_call", "times": 3, "because": "a reason"}]
    judged, other = growth.judge(rows("fork_call", 100, last) + rows("zero_fill", 100, 300), explained)
    assert judged["met"] == met
    assert judged["verdict"] == ("explained: a reason" if met else "GROWS")
    assert not other["met"]


def test_a_point_that_fails_is_told():
    def measure(point):
        if point == 10:
            raise runs.Failed("no memory")
        return {"fork_call": 100.0}
    judged = growth.judge(growth.curve("MiB", (1, 10), measure))
    assert {row["figure"]: row["met"] for row in judged} == {"fork_call": True, "all": False}


def test_growth_tables_have_a_column_a_point():
    judged = growth.judge(rows("fork_call", 100, 120) + rows("zero_fill", 7))
    (heads, table), = growth.tables(judged, str)
    assert heads == ("against MiB", "1", "10", "times", "")
    assert table == [("fork_call", "100", "120", "1.20", "ok"), ("zero_fill", "7", "None", "1.00", "ok")]


def test_what_is_explained_is_in_the_docs():
    with open(os.path.join(ROOT, "docs", "benchmarks.md"), encoding="utf-8") as file:
        text = file.read()
    assert [known["because"] for known in counts.reaches().get("growth", ()) if known["because"] not in text] == []


def test_growth_in_small(monkeypatch):
    for name, points in (("MIB", (1, 16)), ("MAPPINGS", (1, 1000)), ("PROCESSES", (1, 50)), ("CHAIN", (50,)), ("HARTS", (1,))):
        monkeypatch.setattr(growth, name, points)
    monkeypatch.setattr(growth, "MEM", "512M")
    monkeypatch.setattr(counts, "MEM", "512M")
    judged = growth.judge(growth.measure(Args()), counts.reaches().get("growth", ()))
    assert {row["axis"] for row in judged} == {"MiB", "mappings", "processes", "chain", "harts"}
    assert [(row["axis"], row["figure"], row["points"]) for row in judged if not row["met"]] == []
    with open(os.path.join(BUILD, "results", "growth.csv"), encoding="ascii") as file:
        assert file.readline() == "axis,at,figure,value\n"


def test_idle_harts_clear_ahead(monkeypatch):
    monkeypatch.setattr(lines, "OPERATIONS", 1000)
    pool, demand = (lines.after_rest(Args(), way) for way in ("pool", "demand"))
    assert pool[lines.TAKEN] > 0.9 and demand[lines.TAKEN] == 0
    assert pool[lines.INSTRUCTIONS] < demand[lines.INSTRUCTIONS] / 2


def test_shootdowns_on_two_harts():
    measured = shootdown.one(Args(), 2, "ipi", "1.1")
    assert [row for row in measured if not row["met"]] == []
    assert all(row["ipis"] + row["remote_fences"] >= row["expected"] - 0.1 for row in measured)


def test_a_shootdown_too_many_is_missed(monkeypatch):
    text = "".join(f"{name} 100 {100 * expected(1) + (100 if name == 'zero_fill' else 0)} 0\r\n"
                   for name, (expected, _) in shootdown.EXPECTED.items())
    monkeypatch.setattr(runs, "corral", lambda *_, **__: text)
    measured = shootdown.one(Args(), 2, "ipi", "1.1")
    assert [row["case"] for row in measured if not row["met"]] == ["zero_fill"]
    monkeypatch.setattr(runs, "corral", lambda *_, **__: text.replace("zero_fill", ""))
    with pytest.raises(runs.Failed):
        shootdown.one(Args(), 2, "ipi", "1.1")


def test_lines_of_the_plugin_are_read(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("case 0 100 50 200\nline 0xffffffc080400000 0x80400000 k 1 50 25 0x3 0x1\nsite 0xffffffc080200000 w 0x3 50\n"
                    "line 0x1000 0x90000000 u 1 10 5 0x3 0x1\n", encoding="ascii")
    case, = lines.read(path)
    figures = lines.summarise(*case, lines.Symbols(None))
    assert (figures["ipis"], figures["fences"]) == (0.5, 2.0)
    assert figures["kernel"] == {"lines": 1, "touches": 0.5, "transfers": 0.25}
    assert figures["user"]["touches"] == 0.1
    assert lines.result("case a 2 100\n", path, lines.Symbols(None)) == {"a": figures}
    with pytest.raises(runs.Failed):
        lines.result("case a 2 100\ncase b 2 100\n", path, lines.Symbols(None))


def test_linux_that_does_not_come_up_is_told():
    """Not a machine: a program in QEMU's place that says nothing, and one that ends at once with a status."""
    class Process:
        def __init__(self, text):
            self.reading, writing = os.pipe()
            os.write(writing, text)
            os.close(writing)
            self.stdout = os.fdopen(self.reading, "rb")

        def wait(self, timeout=None):
            return 0

        def kill(self):
            pass
    assert runs.read(Process(b"OpenSBI\n"), 1) is None
    assert "case a" in runs.read(Process(b"@@START\r\ncase a\r\n\n@@DONE 0\n"), 1)
    with pytest.raises(runs.Failed):
        runs.read(Process(b"@@START\n\n@@DONE 3\n"), 1)
