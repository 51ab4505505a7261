"""
Which harts a change of the page tables asks (tests/perf/shoot.c), and how many it should: an operation each, by interrupts of the
kernel's own and by the firmware's remote fences, under OpenSBI 1.1 of this machine and 1.6.
"""
import os
import re

from perf_lib import runs

HARTS = (2, 4, 8)
WAYS = ("ipi", "rfence")
FIRMWARE = ("1.1", "1.6")

# Case: harts that must be asked, where `others` run the process, and why.
EXPECTED = {
    "own_range/1": (lambda others: 0, "no other hart has used it"),
    "own_range/512": (lambda others: 0, "no other hart has used it"),
    "used_spinning/1": (lambda others: others, "each other hart has used it, and runs on"),
    "used_spinning/512": (lambda others: others, "one interruption a hart, not one a page"),
    "used_sleeping/512": (lambda others: 0, "a hart that has left the space holds nothing of it"),
    "after_migration/512": (lambda others: 0, "the thread has left that hart"),
    "after_full_flush/512": (lambda others: others, "a full flush of what no other hart has used asks none, so they hold this still"),
    "protect_used/512": (lambda others: others, "less is allowed than harts may hold"),
    "allow_used/512": (lambda others: 0, "more is allowed: who holds less faults, and fences itself"),
    "cow_copy_own": (lambda others: 0, "no other hart has used the page since the fork"),
    "cow_copy_used": (lambda others: others, "each other hart has read the old frame"),
    "cow_reuse_used": (lambda others: 0, "the frame stays: only more is allowed"),
    "zero_fill": (lambda others: 0, "there was nothing"),
}


def firmware(version):
    """corral's arguments for it: 1.1 is this machine's own."""
    return [] if version == FIRMWARE[0] else ["--qemu-args", f"-bios {runs.opensbi(version)}"]


def one(args, harts, way, version):
    more = ["--append", f"tlb={way}", *firmware(version)]
    output = runs.corral(args, harts, [os.path.join(args.build, "perf", "shoot"), str(harts)], more=more)
    rows = []
    for name, count, ipis, fences in re.findall(r"^(\S+) (\d+) (\d+) (\d+)\s*$", output, re.MULTILINE):
        ipis, fences = int(ipis) / int(count), int(fences) / int(count)
        expected = EXPECTED[name][0](harts - 1)
        rows.append({"case": name, "harts": harts, "tlb": way, "opensbi": version, "ipis": ipis, "remote_fences": fences,
                     "expected": expected, "because": EXPECTED[name][1], "met": ipis + fences <= expected + 0.1})
    if len(rows) != len(EXPECTED):
        raise runs.Failed(f"shoot told of {len(rows)} cases of {len(EXPECTED)}")
    return rows


def measure(args):
    rows = []
    for version in FIRMWARE:
        for way in WAYS:
            for harts in HARTS:
                runs.note(f"shootdown: OpenSBI {version}, tlb={way}, {harts} harts")
                rows += one(args, harts, way, version)
    return rows


def table(rows):
    """A line a case: expected and measured on each number of harts, for each way and firmware."""
    columns = [(version, way) for version in FIRMWARE for way in WAYS]
    lines = []
    for name in EXPECTED:
        own = [row for row in rows if row["case"] == name]
        cells = ["/".join(f"{row['expected']}" for row in own if (row["opensbi"], row["tlb"]) == columns[0])]
        for column in columns:
            cells.append("/".join(f"{row['ipis'] + row['remote_fences']:g}" for row in own
                                  if (row["opensbi"], row["tlb"]) == column))
        lines.append((name, *cells, "ok" if all(row["met"] for row in own) else "MISSED", EXPECTED[name][1]))
    heads = ("harts asked, of 2/4/8", "expected", *[f"{way}, {version}" for version, way in columns], "", "")
    return heads, lines
