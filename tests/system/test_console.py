"""What /proc/corral tells: numbers that must fit each other. corral-map and corral-top, which show them."""
import json

import pytest

from tests.conftest import BUILD


def files(corral, programs, *names, harts):
    done = corral(programs / "cat", *(f"/proc/corral/{name}" for name in names), harts=harts, append="audit=on")
    assert done.status == 0, done
    return done.out


@pytest.mark.parametrize("harts", (1, 4))
def test_memory(corral, programs, harts):
    lines = dict(line.split() for line in files(corral, programs, "memory", harts=harts).splitlines())
    frames = {name: int(value) for name, value in lines.items()}
    kinds = ("reserved", "free", "kernel", "anonymous", "files", "tables", "sides", "zero")
    assert sum(frames[kind] for kind in kinds) == 256 * 256  # 256 MiB
    assert frames["zero"] == 1 and frames["saved_anonymous"] == 0
    assert frames["free"] > 40000 and 5 < frames["anonymous"] < 1000 and 3 <= frames["tables"] < 200


@pytest.mark.parametrize("harts", (1, 4))
def test_harts(corral, programs, harts):
    text = files(corral, programs, "counters", "harts", harts=harts).splitlines()
    head = next(i for i, line in enumerate(text) if line.startswith("hart "))
    counters = dict(line.split() for line in text[:head])
    rows = [dict(zip(text[head].split(), map(int, line.split()))) for line in text[head + 1:]]
    assert [row["hart"] for row in rows] == list(range(harts))
    for name in ("zero_fills", "cow_copies", "shootdowns", "requests_served"):
        assert 0 <= sum(row[name] for row in rows) - int(counters[name]) < 100  # read a little later
    sent, received = (sum(row[name] for row in rows) for name in ("ipis_sent", "ipis_received"))
    assert (sent > 0) == (harts > 1) and received <= sent


@pytest.mark.parametrize("program", ("bench", "corral-map", "corral-top"))
def test_help(corral, program):
    """A page of the manual."""
    done = corral(BUILD / "user" / program, "--help", harts=1)
    heads = [line for line in done.out.splitlines() if line.isupper() and not line.startswith(" ")]
    assert done.status == 0 and heads[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"] and "OPTIONS" in heads and "EXIT STATUS" in heads, done
    assert done.out.startswith(f"NAME\n  {program} - ") and max(map(len, done.out.splitlines())) <= 120, done


# ---- corral-map

def test_map(corral, programs):
    done = corral(programs / "map_of", "/bin/corral-map", harts=2, append="audit=on",
                  files=[f"{BUILD / 'user' / 'corral-map'}:/bin/corral-map"])
    assert done.status == 0, done
    base, page = 0x1000000000, 4096
    runs = [run for run in json.loads(done.out) if base <= run["start"] < base + (8 << 20)]
    states = [((run["start"] - base) // page, (run["end"] - base) // page, run["way"], run["state"], run["rights"],
               run["of"], run["pages"], run["shared"], run["most"]) for run in runs]
    first = [state for state in states if state[0] < 512]
    assert first == [
        (0, 8, "private", "writable", "rw-p", "anonymous", 8, 0, 1),
        (8, 16, "private", "cow", "rw-p", "anonymous", 8, 8, 2),
        (16, 20, "private", "parked", "---p", "anonymous", 4, 4, 2),
        (20, 24, "private", "readonly", "r--p", "anonymous", 4, 4, 2),
        (24, 512, "private", "cow", "rw-p", "anonymous", 488, 488, 2)], states
    rest = {state[0]: state for state in states if state[0] >= 512}
    # The entries of tables that fork leaves to both are as they were: W goes when the first of them makes a table its own.
    assert rest[512][1:] == (1032, "detached", "writable", "rw-p", "anonymous", 520, 520, 2), states
    assert rest[1033][3:] == ("reserved", "rw-p", "anonymous", 0, 0, 0), states
    assert rest[1032][5:] == ("zeros", 1, 0, 0), states


@pytest.mark.parametrize("arguments,status", [(["99999"], 1), ([], 2), (["--what"], 2), (["1", "2"], 2)])
def test_map_refuses(corral, arguments, status):
    done = corral(BUILD / "user" / "corral-map", *arguments)
    assert (done.status, done.out) == (status, ""), done
    assert done.err


# ---- corral-top

def test_top_lines(corral):
    """Without a terminal it writes lines."""
    done = corral(BUILD / "user" / "corral-top", "-n", "2", "-d", "0.2", harts=2)
    assert done.status == 0, done
    lines = done.out.splitlines()
    assert len(lines) == 6 and all(line.startswith("top ") for line in lines)
    memory = dict(word.split("=") for word in lines[0].split()[3:])
    assert int(memory["anonymous"]) > 0 and int(memory["saved_tables"]) == 0
    assert "hart=1 faults=" in lines[2] and "\x1b" not in done.out


def test_top_json(corral):
    done = corral(BUILD / "user" / "corral-top", "--json", "-n", "2", "-d", "0.2", harts=4)
    assert done.status == 0, done
    samples = [json.loads(line) for line in done.out.splitlines()]
    assert [len(sample["harts"]) for sample in samples] == [4, 4]
    assert samples[1]["seconds"] - samples[0]["seconds"] > 0.19
    assert sum(hart["faults"] for hart in samples[1]["harts"]) > 20


def test_top_refuses(corral):
    for arguments in (["-n", "0"], ["-d", "x"], ["--what"], ["word"]):
        done = corral(BUILD / "user" / "corral-top", *arguments)
        assert done.status == 2 and "--help" in done.err, done
