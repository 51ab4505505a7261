"""Each figure against how much there is of something: memory, mappings, processes, forks in a chain, harts."""
import csv
import os

from perf_lib import counts, runs

MIB = (1, 4, 16, 64, 256, 1024, 4096)
MAPPINGS = (1, 10, 100, 1000, 10000, 100000)
PROCESSES = (1, 10, 100, 1000, 4000)
CHAIN = (100, 1000, 10000)
HARTS = (1, 2, 4, 8)
NOTED = 1.5  # times the smallest: grows with something that it does not work on


def curve(axis, points, measure):
    """Rows: axis, value, figure, result. A point that cannot be measured is said, and left out."""
    rows = []
    for point in points:
        runs.note(f"growth: {axis} {point}")
        try:
            rows += [{"axis": axis, "at": point, "figure": name, "value": round(value, 1)} for name, value in measure(point).items()]
        except runs.Failed as error:
            runs.note(f"{axis} {point}: {error}")
    return rows


def memory(args):
    sizes = ",".join(map(str, MIB))
    done = runs.bench(args, 1, "^fork_(call|exit_wait)/", ["--repetitions=1", f"--sizes={sizes}"], mem="6G")
    return [{"axis": "MiB", "at": int(name.split(":")[1]), "figure": name.split("/")[0], "value": round(values["ns"], 1)}
            for name, values in done.items() if values]


def harts(args):
    """Interrupts and fences: times of several harts say nothing on a machine that has fewer."""
    def measure(count):
        done = runs.bench(args, count, rf"^(fault_disjoint|cow_disjoint|munmap/pages:512|mprotect/pages:1)/harts:{count}$",
                          ["--repetitions=3", "--min-time=100us", "--max-time=5s", f"--harts={count}"], icount=False)
        return {f"{name.rsplit('/', 1)[0]} {what}": values[what]
                for name, values in done.items() if values for what in ("ipis", "fences")}
    return curve("harts", HARTS, measure)


def measure(args):
    rows = memory(args)
    rows += curve("mappings", MAPPINGS, lambda count: counts.grow(args, "mappings", count))
    rows += curve("processes", PROCESSES, lambda count: counts.grow(args, "children", count, 1))
    rows += curve("chain", CHAIN, lambda count: counts.grow(args, "chain", count))
    rows += harts(args)
    with open(os.path.join(args.build, "results", "growth.csv"), "w", encoding="ascii", newline="") as file:
        table = csv.DictWriter(file, ["axis", "at", "figure", "value"])
        table.writeheader()
        table.writerows(rows)
    return rows


def grows(rows):
    """Figures that at the end of their curve are NOTED times what they were at its beginning."""
    curves = {}
    for row in rows:
        curves.setdefault((row["axis"], row["figure"]), []).append((row["at"], row["value"]))
    noted = []
    for (axis, figure), points in curves.items():
        (first, small), (last, large) = points[0], points[-1]
        if len(points) > 1 and small > 0 and large > NOTED * small:
            noted.append({"axis": axis, "figure": figure, "from": first, "to": last, "at_first": small, "at_last": large,
                          "work": last / first, "grows": round(large / small, 2)})
    return noted
