"""The kernel's trace ring and corral trace: valid trace events, and in them what a program is known to have done."""
import json
import subprocess

import pytest

from tests.conftest import BUILD, CORRAL, KERNEL

AT, PAGE = 0x1000000000, 4096


def traced(tmp_path, *words, program="traced", harts=2, append="audit=on"):
    out = tmp_path / "trace.json"
    command = [str(CORRAL), "trace", "--build", str(BUILD), "--kernel", str(KERNEL), "--harts", str(harts), "--mem", "256M",
               "--timeout", "60", "--log", str(tmp_path / "log"), "--out", str(out), "--append", append, *words, "--",
               str(BUILD / "user" / "tests" / program)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done
    return json.loads(out.read_text())


def check_format(trace):
    """The fields that the format asks for, in order; on each thread slices lie one in another or side by side; arrows are whole."""
    open_until, arrows, last = {}, {}, 0
    for event in trace["traceEvents"]:
        assert {"name", "ph", "ts", "pid", "tid"} <= set(event), event
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name") and event["args"]["name"]
            continue
        assert event["ts"] >= last, event
        last = event["ts"]
        if event["ph"] == "X":
            assert event["dur"] >= 0 and isinstance(event["args"], dict)
            stack = open_until.setdefault(event["tid"], [])
            while stack and stack[-1] <= event["ts"] + 1e-6:
                stack.pop()
            end = event["ts"] + event["dur"]
            assert not stack or end <= stack[-1] + 1e-3, event
            stack.append(end)
        else:
            assert event["ph"] in "sf", event
            arrows.setdefault(event["id"], []).append(event)
    for pair in arrows.values():
        assert sorted(event["ph"] for event in pair) == ["f", "s"], pair
        assert pair[0]["tid"] != pair[1]["tid"] and all(event["ts"] for event in pair)


def slices(trace, category):
    return [event for event in trace["traceEvents"] if event["ph"] == "X" and event["cat"] == category]


def test_known_program(tmp_path):
    trace = traced(tmp_path)
    check_format(trace)
    assert trace["otherData"]["lost"] == 0 and trace["otherData"]["harts"] == 2
    area = [event for event in slices(trace, "fault") if AT <= int(event["args"]["address"], 16) < AT + 64 * PAGE]
    fills = [event for event in area if event["name"] == "zero fill"]
    copies = [event for event in area if event["name"] == "copy"]
    assert len(fills) == 64 and len({event["args"]["thread"] for event in fills}) == 1
    assert len(copies) == 8 and copies[0]["args"]["thread"] != fills[0]["args"]["thread"]
    assert {int(event["args"]["address"], 16) - AT for event in copies} == {i * PAGE for i in range(8)}
    assert sum(event["name"] == "reuse" for event in area) == 10
    assert [event["args"]["thread"] for event in slices(trace, "fork")] == [fills[0]["args"]["thread"]]
    requests = [event for event in slices(trace, "shootdown") if int(event["args"]["start"], 16) in range(AT, AT + 10 * PAGE)]
    assert {int(event["args"]["start"], 16) for event in requests} == set(range(AT, AT + 10 * PAGE, PAGE))
    assert all(event["tid"] == 0 and event["args"]["harts"] == [1] for event in requests)
    answers = [event for event in slices(trace, "answer") if event["args"]["from"] == 0 and event["tid"] == 1]
    assert {event["args"]["serial"] for event in requests} <= {event["args"]["serial"] for event in answers}
    arrows = [event for event in trace["traceEvents"] if event["ph"] == "f"]
    assert len(arrows) >= 10 and all(event["bp"] == "e" for event in arrows)


def test_small_ring_keeps_the_last(tmp_path):
    trace = traced(tmp_path, "--records", "16", "--events", "fault,tlb", harts=4)
    check_format(trace)
    assert trace["otherData"]["lost"] > 100 and slices(trace, "fault") and not slices(trace, "fork")
    assert all(sum(event["ph"] == "X" and event["tid"] == hart for event in trace["traceEvents"]) <= 16 for hart in range(4))


def test_proc(corral, programs, tmp_path):
    """The same lines, read while the machine runs; nothing where nothing is traced."""
    done = corral(programs / "cat", "/proc/corral/trace", append="audit=on trace=fault")
    assert done.status == 0 and done.out.startswith("hz "), done
    (tmp_path / "copy").write_text(done.out)
    out = tmp_path / "out.json"
    subprocess.run([str(CORRAL), "trace", "--from", str(tmp_path / "copy"), "--out", str(out)], check=True)
    trace = json.loads(out.read_text())
    check_format(trace)
    assert slices(trace, "fault") and not slices(trace, "answer")
    assert corral(programs / "cat", "/proc/corral/trace").out == ""


@pytest.mark.parametrize("words", ("trace=", "trace=fault,", "trace=faults", "trace=tlb trace-records=3", "trace=tlb trace-records=1"))
def test_refused(corral, words):
    done = corral("cat", append=words, harts=1)
    assert done.status == 125 and "boot argument trace" in done.err, done


def test_nowhere_to_write(tmp_path):
    """Said before the program runs."""
    done = subprocess.run([str(CORRAL), "trace", "--build", str(BUILD), "--out", str(tmp_path / "none" / "trace.json"), "--", "bench"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr == f"corral: {tmp_path / 'none'}: no such folder\n", done


def test_nothing_to_read(tmp_path):
    (tmp_path / "log").write_text("[    0.1] corral: hello\n")
    done = subprocess.run([str(CORRAL), "trace", "--from", str(tmp_path / "log"), "--out", str(tmp_path / "out")],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "trace" in done.stderr, done
