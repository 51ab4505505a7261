"""Disks' interrupts: which harts they come to, that many requests are under way at once, and that nobody polls."""
import collections
import resource

import pytest

from test_disk import by_hand

DISKS = 6


@pytest.fixture
def disks(tmp_path):
    """disks(n) -> (options, guest paths)"""
    def make(count):
        options = []
        for number in range(count):
            with open(tmp_path / f"{number}.img", "wb") as file:
                file.truncate(16 << 20)
            options += ["--disk", f"{tmp_path / f'{number}.img'}:"]
        return options, [f"/dev/vd{chr(ord('a') + i)}" for i in range(count)]
    return make


def parts(done):
    """{path: lines} of what the program shows."""
    assert done.status == 0 and "audit: ok" in done.log, done
    found = (part.split("\n", 1) for part in done.out.split("== ")[1:])
    return {path: text.splitlines() for path, text in found}


def interrupts(lines):
    """{device: its count on each hart}"""
    harts = len(lines[0].split())
    return {words[-1]: [int(word) for word in words[1:1 + harts]] for words in map(str.split, lines[1:])}


@pytest.mark.parametrize("mode", ("idle", "busy"))
@pytest.mark.parametrize("harts", (1, 2, 3, 4, 8))
def test_spread(corral, programs, disks, harts, mode):
    """Each disk's interrupts come to one hart, the disks' to all by turns: idle harts, and those on which a program computes."""
    options, paths = disks(DISKS)
    done = corral(programs / "interrupts", mode, "25", *paths, harts=harts, append="audit=on", options=options)
    counts = interrupts(parts(done)["/proc/interrupts"])
    load = collections.Counter()
    harts -= done.log.count("has not arrived: left out")  # on a host that has no time for it
    for disk in range(DISKS):
        of_hart = counts[f"vd{chr(ord('a') + disk)}"]
        assert len(of_hart) == harts and max(of_hart) >= 25, done
        load[of_hart.index(max(of_hart))] += 1
    load[next(i for i, n in enumerate(counts["console"]) if n == max(counts["console"]))] += 0
    assert max(load.values()) <= -(-(DISKS + 1) // harts) and sum(n > 0 for n in load.values()) >= min(harts - 1, DISKS), done


@pytest.mark.parametrize("kind", ("modern", "legacy"))
def test_several_under_way(corral, programs, disks, kind):
    """Counted by the driver: as many as there are pages in what the processes ask for, up to the queue's 128."""
    options, paths = disks(1)
    done = corral(programs / "interrupts", "many", "4", *paths, harts=4, append="audit=on", options=[*options, "--virtio", kind])
    shown = parts(done)
    most = int(shown["/proc/corral/disks"][0].split()[2])
    assert 8 <= most <= 128, done
    stats = shown["/proc/diskstats"][0].split()
    assert stats[:3] == ["254", "0", "vda"] and len(stats) == 20, done
    reads, sectors, under_way, busy = int(stats[3]), int(stats[5]), int(stats[11]), int(stats[12])
    assert reads >= 4 * 20 * 4 and sectors >= 4 * 20 * 64 * 8 and under_way == 0 and busy > 0, done


def test_one_under_way(corral, programs, disks):
    """The count means something: one process that reads block by block has one at a time."""
    options, paths = disks(1)
    done = corral(programs / "interrupts", "idle", "50", *paths, harts=4, append="audit=on", options=options)
    assert parts(done)["/proc/corral/disks"][0].split()[:3] == ["vda", "most_at_once", "1"], done


def host_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("harts", (1, 4))
def test_waiting_sleeps(corral, programs, disks, tmp_path, harts):
    """50 blocks at 10 a second: the machine's harts sleep meanwhile, so QEMU takes next to no time of this host for them."""
    disks(1)
    took = []
    for blocks in ("1", "50"):
        before = host_seconds()
        done = corral(programs / "interrupts", "idle", blocks, "/dev/vda", harts=harts, append="audit=on",
                      options=by_hand(tmp_path / "0.img", "modern", ",throttling.iops-total=10"))
        parts(done)
        took.append(host_seconds() - before)
    assert took[1] - took[0] < 2, took


@pytest.mark.parametrize("harts", (1, 4))
def test_others_go_on(corral, programs, disks, tmp_path, harts):
    """Who waits for a slow disk takes no time from who computes."""
    disks(1)
    done = corral(programs / "interrupts", "beside", "30", "/dev/vda", harts=harts, append="audit=on",
                  options=by_hand(tmp_path / "0.img", "modern", ",throttling.iops-total=10"))
    words = done.out.split()
    assert done.status == 0 and int(words[1]) < 200000 and int(words[3]) > 850, done
