"""Each figure against how much there is of something else: memory, mappings, processes, forks in a chain, harts."""
import csv
import os

from perf_lib import counts, lines, runs

MIB = (1, 4, 16, 64, 256, 1024, 4096)
MAPPINGS = (1, 10, 100, 1000, 10000, 100000)
PROCESSES = (1, 10, 100, 1000, 4000)
CHAIN = (100, 1000, 10000)
HARTS = (1, 2, 4, 8)
MEM = "6G"
FEW = 10
NOTED = 1.5  # times what it is at the first point: grows with something that it does not work on
# What is counted an operation may be nothing at first: below this it is as good as that.
SLACK = {"ipis": 0.1, "fences": 0.15, "lines": 0.01}
LINES = ("fault_disjoint", "cow_disjoint", "munmap_disjoint")


def curve(axis, points, measure):
    """Rows: axis, value, figure, result. A point that cannot be measured is said, and has a row that says so."""
    rows = []
    for point in points:
        runs.note(f"growth: {axis} {point}")
        try:
            rows += [{"axis": axis, "at": point, "figure": name, "value": round(value, 4)} for name, value in measure(point).items()]
        except runs.Failed as error:
            runs.note(f"{axis} {point}: {error}")
            rows.append({"axis": axis, "at": point, "figure": "all", "value": None})
    return rows


def processes(args, count):
    """Of few children most have what is put by for the next fork: no point to begin a curve of them at."""
    done = counts.grow(args, "beside", 1, 1, count)
    return done if count < FEW else done | {f"children {name}": value for name, value in counts.grow(args, "children", count, 1).items()}


def chain(args, count):
    """The last of them, and what the first of any chain is as the point 1."""
    done = counts.grow(args, "chain", count)
    return {name: value for name, value in done.items() if not name.startswith("first_") and name != "chain_fork_first"}


def chain_begin(args):
    done = counts.grow(args, "chain", min(CHAIN))
    return {name.removeprefix("first_"): value for name, value in done.items() if name.startswith("first_")} | {
        "chain_fork": done["chain_fork_first"]}


def harts(args, count):
    """On one of them, the others idle; and what all cost each other: times of that say nothing on a machine with fewer."""
    figures = dict(counts.grow(args, "beside", 1, 1, 1, harts=count))
    done = runs.bench(args, count, rf"^(fault_disjoint|cow_disjoint|munmap/pages:512|mprotect/pages:1)/harts:{count}$",
                      ["--repetitions=3", "--min-time=100us", "--max-time=5s", f"--harts={count}"], icount=False)
    figures |= {f"{name.rsplit('/', 1)[0]} {what}": values[what]
                for name, values in done.items() if values for what in ("ipis", "fences")}
    shared = lines.on_corral(args, count, LINES)
    return figures | {f"{case} lines": shared[case]["kernel"]["touches"] for case in LINES}


def measure(args):
    rows = curve("MiB", MIB, lambda mib: counts.grow(args, "beside", mib, 1, 1, mem=MEM))
    rows += curve("mappings", MAPPINGS, lambda count: counts.grow(args, "beside", 1, count, 1))
    rows += curve("processes", PROCESSES, lambda count: processes(args, count))
    rows += curve("chain", (1,), lambda _: chain_begin(args)) + curve("chain", CHAIN, lambda count: chain(args, count))
    rows += curve("harts", HARTS, lambda count: harts(args, count))
    with open(os.path.join(args.build, "results", "growth.csv"), "w", encoding="ascii", newline="") as file:
        table = csv.DictWriter(file, ["axis", "at", "figure", "value"])
        table.writeheader()
        table.writerows(rows)
    return rows


def explanation(axis, figure, explained):
    """What tests/perf/reach.toml says of a curve that grows: {"times", "because"}, or none."""
    for known in explained:
        if known["axis"] == axis and known["figure"] == figure:
            return known
    return {"times": NOTED, "because": ""}


def judge(rows, explained=()):
    """A curve each: its points, how many times its first one the largest is, and whether that is well, explained, or neither."""
    curves = {}
    for row in rows:
        curves.setdefault((row["axis"], row["figure"]), []).append((row["at"], row["value"]))
    judged = []
    for (axis, figure), points in curves.items():
        values = [value for _, value in points]
        known = explanation(axis, figure, explained)
        first, largest = values[0], None if None in values else max(values)
        slack = SLACK.get(figure.rsplit(" ", 1)[-1], 0)
        met = largest is not None and largest <= known["times"] * first + slack
        grows = largest is None or largest > NOTED * first + slack
        judged.append({"axis": axis, "figure": figure, "points": points, "met": met,
                       "times": round(largest / first, 2) if first and largest is not None else None,
                       "verdict": "ok" if not grows else f"explained: {known['because']}" if met else
                                  "NOT MEASURED" if largest is None else "GROWS"})
    return judged


def tables(judged, number):
    """(heads, lines) for each axis."""
    done = []
    for axis in dict.fromkeys(row["axis"] for row in judged):
        own = [row for row in judged if row["axis"] == axis]
        places = list(dict.fromkeys(at for row in own for at, _ in row["points"]))
        lines_of = [(row["figure"], *[number(dict(row["points"]).get(at)) for at in places],
                     f"{row['times']:.2f}" if row["times"] else "-", row["verdict"]) for row in own]
        done.append(((f"against {axis}", *[f"{at:,}" for at in places], "times", ""), lines_of))
    return done
