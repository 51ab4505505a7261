"""What /proc/corral tells: numbers that must fit each other."""
import pytest


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
