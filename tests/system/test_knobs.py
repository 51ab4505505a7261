"""
Boot arguments that choose between designs (docs/boot.md): each does what it says, and the benchmark's copy-on-write part comes to
an end, with its data checked, under each.
"""
import json
import os
import pathlib

import pytest

BUILD = pathlib.Path(os.environ.get("CORRAL_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
# Beside the defaults, which all else runs with.
KNOBS = ("fork=eager", "fork=cow", "tlb=rfence", "tlb=broadcast", "asid=off", "zero=demand", "faultaround=1", "faultaround=64", "batch=1", "copy=plain")


def medians(corral, append, pattern, harts=1, icount=False):
    done = corral("bench", "--format=json", "--quick", f"--filter={pattern}", harts=harts, append=append,
                  options=["--kernel", str(BUILD / "virt-release" / "Image"), *(["--icount"] if icount else [])])
    assert done.status == 0, done
    return {entry["run_name"]: entry for entry in json.loads(done.out)["benchmarks"] if entry.get("aggregate_name") == "median"}


def shoot(corral, append, harts=4):
    """Case -> harts asked an operation."""
    done = corral(BUILD / "perf" / "shoot", str(harts), harts=harts, append=append)
    assert done.status == 0, done
    rows = [line.split() for line in done.out.splitlines()]
    return {name: (int(ipis) + int(fences)) / int(count) for name, count, ipis, fences in rows}


@pytest.mark.parametrize("knob", KNOBS)
def test_copy_on_write_is_measured_under_each(corral, knob):
    found = medians(corral, knob, "^(cow_copy|cow_disjoint/harts:2)$", harts=2)
    assert set(found) == {"cow_copy", "cow_disjoint/harts:2"} and all(entry["real_time"] > 0 for entry in found.values())


def test_what_fork_shares(corral):
    """eager: a store after fork is just a store, and fork grows with memory; cow: fork grows with page tables; tables: it does not."""
    pattern = "^(cow_copy|floor/copy|fork_call/MiB:(1|16))$"
    found = {way: medians(corral, f"fork={way}", pattern, icount=True) for way in ("eager", "cow", "tables")}
    copy, store = found["tables"]["cow_copy"]["real_time"], found["eager"]["cow_copy"]["real_time"]
    assert store < 50 < found["tables"]["floor/copy"]["real_time"] < copy
    call = {way: found[way]["fork_call/MiB:1"]["real_time"] for way in found}
    assert call["tables"] < call["cow"] < call["eager"]
    assert call["eager"] > 256 * found["tables"]["floor/copy"]["real_time"] * 0.4


def test_whom_a_shootdown_asks(corral):
    """broadcast asks all harts, also where nobody else holds anything."""
    few, all_of_them = (shoot(corral, f"tlb={way}") for way in ("ipi", "broadcast"))
    assert few["own_range/1"] == 0 and few["used_spinning/1"] == 3
    assert all_of_them["own_range/1"] >= 3 and all_of_them["used_spinning/1"] >= 3 and all_of_them["cow_copy_own"] >= 3


def test_how_many_pages_a_request_is_about(corral):
    asked = {batch: shoot(corral, f"batch={batch}", harts=2)["used_spinning/512"] for batch in (64, 256, "all")}
    assert asked == {64: 8, 256: 2, "all": 1}


def test_without_asids_switches_flush(corral):
    fences = {way: medians(corral, f"asid={way}", "^fork_exit_wait/MiB:0$")["fork_exit_wait/MiB:0"]["local_fences"] for way in ("on", "off")}
    assert fences["off"] > fences["on"] + 1


def test_how_much_of_a_file_a_fault_maps(corral):
    """Faults around make each page cheaper, the more of them there are; behind others, for in the first leaf table of a process there are none (docs/benchmarks.md)."""
    cost = []
    for pages in (1, 4, 16, 64):
        done = corral("bench", "--format=json", "--repetitions=3", "--filter=^(zero_fill|file_(shared_fault|private_cow))$", harts=1, append=f"faultaround={pages}",
                      options=["--kernel", str(BUILD / "virt-release" / "Image"), "--icount"])
        assert done.status == 0, done
        cost += [entry["real_time"] for entry in json.loads(done.out)["benchmarks"] if entry["name"] == "file_shared_fault_median"]
    assert cost == sorted(cost, reverse=True) and cost[0] > 3 * cost[2], cost
