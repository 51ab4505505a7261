"""What has been reached stays: instruction counts, and lines that no two harts share. The whole of it is `make perf`."""
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.environ.get("CORRAL_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
from perf_lib import counts, lines  # noqa: E402

# On which two harts share nothing.
UNSHARED = ("null_syscall", "getpid", "futex", "fault_disjoint", "cow_disjoint", "reuse_disjoint", "munmap_disjoint", "read_cached")


class Args:
    """What scripts/perf takes from its command line."""

    def __init__(self):
        self.build, self.kernel = BUILD, os.path.join(BUILD, "virt-release", "Image")
        self.mem, self.timeout, self.write = "512M", 120, False


def test_no_count_is_worse():
    now, worse = counts.guard(Args())
    assert len(now) > 20
    assert worse == []


def test_a_worse_count_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "today.json"
    path.write_text('{"null_syscall": 1.0, "gone": 5}', encoding="ascii")
    monkeypatch.setattr(counts, "TODAY", str(path))
    monkeypatch.setattr(counts, "GUARDED", "^(null_syscall|floor/trap)$")
    _, worse = counts.guard(Args())
    assert [message.split(":")[0] for message in worse] == ["null_syscall", "gone"]


def test_better_counts_are_kept_and_worse_ones_are_not(tmp_path, monkeypatch):
    path = tmp_path / "today.json"
    path.write_text('{"null_syscall": 1.0, "floor/trap": 1e9}', encoding="ascii")
    monkeypatch.setattr(counts, "TODAY", str(path))
    monkeypatch.setattr(counts, "GUARDED", "^(null_syscall|floor/trap)$")
    args = Args()
    args.write = True
    counts.guard(args)
    kept = counts.today()
    assert kept["null_syscall"] == 1.0
    assert kept["floor/trap"] < 1e6


def test_lines_of_disjoint_work():
    figures = lines.on_corral(Args(), 2, ("own_word", "shared_word", *UNSHARED))
    assert figures["own_word"]["user"]["touches"] <= 0.01
    assert 0.99 < figures["shared_word"]["user"]["touches"] < 1.1
    most = counts.reaches()["lines"]["most"]
    assert {case: figures[case]["kernel"]["touches"] for case in UNSHARED if figures[case]["kernel"]["touches"] > most} == {}


@pytest.mark.parametrize("figures,met", [({"a": 10.0, "b": 8.0}, True), ({"a": 10.1, "b": 8.0}, False), ({"a": 9.0}, False),
                                         ({"b": 8.0}, False), ({"a": 9.0, "b": 7.0}, False)])
def test_reaches_are_judged(figures, met):
    reach = {"figure": [{"name": "a", "most": 10, "times": 1.25, "of": ["b"]}]}
    assert [row["met"] for row in counts.judge(figures, reach)] == [met]


def test_a_missed_reach_fails(tmp_path):
    """Of the script itself: what it does not measure is missed, and said."""
    done = subprocess.run([os.path.join(ROOT, "scripts", "perf"), "--build", str(tmp_path), "--kernel", "/nowhere", "counts"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1
    assert "perf: counts:" in done.stderr
