"""corral diff: what changed between two results beyond noise."""
import json
import statistics
import sys

from perf_lib import gbench
from perf_lib.tables import lines_of, number

DESCRIPTION = """\
NAME
  corral diff - what changed between two results, beyond noise

DESCRIPTION
  A and B are JSON files of make bench, make sweep or make compare, or of anything that writes
  Google Benchmark's JSON. Compared are the times and what was counted (interrupts, fences) of
  each benchmark that both have; one that only one of them has is a change, too.

  A result under icount is exact: any change of the median that is larger than the few instructions
  by which its own repetitions differ is shown. Others are noisy: the medians must differ by more
  than the repetitions of either do (largest less smallest), and by 5 %. One that has
  a single repetition, and is not exact, cannot be judged.
"""
EPILOG = """\
EXIT STATUS
  0 nothing changed; 1 something did (--worse: became worse); 2 the files cannot be compared.

EXAMPLES
  make bench HARTS=1 ICOUNT=1 && cp build/results/bench.json before.json
  ... edit ..., make bench HARTS=1 ICOUNT=1
  scripts/corral diff before.json build/results/bench.json
"""
NOISY = 0.05      # of a time that is not exact: less is nobody's business
EXACT = 0.0005    # of one that is: the clock's tick of 100 ns in a repetition
COUNTED = ("ipis", "fences")
SLACK = {"ns": 0.0, "ipis": 0.02, "fences": 0.02}


class Incomparable(Exception):
    """One line."""


def of_benchmark(done):
    for name, figures in gbench.figures(done).items():
        for what in ("ns", *COUNTED):
            if what in figures:
                yield (name, what), figures[what]


def of_comparison(done):
    for row in done["instructions"]:
        for key, value in row.items():
            if key not in ("name", "less") and value is not None:
                yield (f"{row['name']}, {key}", "ns"), [value]
    for row in done["shared"]:
        for key in row:
            if key not in ("case", "harts", "less") and row[key]:
                for what in ("ipis", "fences", "touches"):
                    yield (f"{row['case']}, {row['harts']} harts, {key}", what), [row[key][what]]


def of_sweep(done):
    for value, one in done["results"].items():
        for (name, what), values in of_benchmark(one):
            yield (f"{done['knob']}={value}: {name}", what), values
    for value, one in done["counted"].items():
        for (name, what), values in of_benchmark(one):
            if what in COUNTED:
                yield (f"{done['knob']}={value}: {name}, {done['harts']} harts", what), values


def load(path):
    """({(benchmark, what): values}, context)"""
    try:
        with open(path, encoding="utf-8") as file:
            done = json.load(file)
    except OSError as error:
        raise Incomparable(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise Incomparable(f"{path}: no JSON: {error}") from None
    for key, read in (("benchmarks", of_benchmark), ("instructions", of_comparison), ("knob", of_sweep)):
        if isinstance(done, dict) and key in done:
            try:
                found = dict(read(done))
            except (KeyError, TypeError, AttributeError) as error:
                raise Incomparable(f"{path}: not as it should be: {error!r}") from None
            if found:
                return found, dict(done.get("context", {}))
    raise Incomparable(f"{path}: not a result of make bench, make sweep or make compare")


def check(a, b):
    for key, what in (("icount", "one counts instructions, the other time"), ("harts", "of different numbers of harts")):
        if key in a and key in b and a[key] != b[key]:
            raise Incomparable(f"cannot be compared: {what}")


def judge(what, before, after, exact):
    """("same", "worse", "better" or "unknown", the change as a ratio or None)"""
    a, b = statistics.median(before), statistics.median(after)
    spread = max(max(before) - min(before), max(after) - min(after))
    if min(len(before), len(after)) < 2 and not exact and what == "ns":
        return "unknown", b / a if a else None
    least = abs(a) * (EXACT if exact else NOISY) if what == "ns" else SLACK.get(what, 0.02)
    if abs(b - a) <= max(spread, least):
        return "same", b / a if a else None
    return ("worse" if b > a else "better"), b / a if a else None


def compare(first, second):
    """Rows, of all that either has."""
    (a, context), (b, other) = first, second
    check(context, other)
    exact = bool(context.get("icount") and other.get("icount")) or "linux_arguments" in context
    rows = []
    for key in dict.fromkeys([*a, *b]):
        row = {"name": key[0], "what": key[1], "before": None, "after": None, "ratio": None}
        if key in a:
            row["before"] = statistics.median(a[key])
        if key in b:
            row["after"] = statistics.median(b[key])
        if key in a and key in b:
            row["verdict"], row["ratio"] = judge(key[1], a[key], b[key], exact)
        else:
            row["verdict"] = "gone" if key in a else "new"
        rows.append(row)
    return rows, exact


def show(rows, exact, everything):
    unit = {"ns": "instructions" if exact else "ns"}
    shown = [row for row in rows if everything or row["verdict"] not in ("same", "unknown")]
    if shown:
        print("\n".join(lines_of(("benchmark", "of", "before", "after", "change", ""), [
            (row["name"], unit.get(row["what"], row["what"]), number(row["before"]), number(row["after"]),
             f"{100 * (row['ratio'] - 1):+.1f} %" if row["ratio"] else "-", row["verdict"]) for row in shown])))
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("worse", "better", "new", "gone", "same", "unknown")}
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "nothing to compare")


def add_parser(commands):
    command = commands.add_parser("diff", help="what changed between two results", description=DESCRIPTION, epilog=EPILOG)
    command.add_argument("--json", action="store_true", help="all rows as JSON on standard output")
    command.add_argument("--all", action="store_true", help="also what did not change")
    command.add_argument("--worse", action="store_true", help="status 1 only where something became worse, or is gone")
    command.add_argument("before", metavar="A.json")
    command.add_argument("after", metavar="B.json")


def run(args):
    try:
        rows, exact = compare(load(args.before), load(args.after))
    except Incomparable as error:
        print(f"corral: {error}", file=sys.stderr)
        return 2
    if args.json:
        json.dump({"exact": exact, "rows": rows}, sys.stdout, indent=1)
        print()
    else:
        show(rows, exact, args.all)
    bad = ("worse", "gone") if args.worse else ("worse", "better", "new", "gone")
    return int(any(row["verdict"] in bad for row in rows))
