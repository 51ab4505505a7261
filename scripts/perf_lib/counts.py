"""Guest instructions on one hart: the table of tests/perf/reach.toml, and the guard of what has been reached."""
import json
import os
import re
import tomllib

from perf_lib import runs

REACH = os.path.join(runs.ROOT, "tests", "perf", "reach.toml")
TODAY = os.path.join(runs.ROOT, "tests", "perf", "today.json")
BOUND = 1.02
SIZES = "0,1,256,1024"
MEM = "3G"
FIGURES = (r"^(floor.*|null_syscall|zero_.*|cow_copy|cow_reuse|file_(shared_fault|private_cow)|map_touch_unmap|fork_write|"
           r"(munmap|mprotect)/pages:(1|512)/harts:1|fork_(call|exit_wait)/.*|fork_exec_wait)$")
# What fits into a few seconds.
GUARDED = (r"^(floor.*|null_syscall|zero_.*|cow_copy|cow_reuse|file_(shared_fault|private_cow)|map_touch_unmap|fork_write|"
           r"(munmap|mprotect)/pages:(1|512)/harts:1|fork_(call|exit_wait)/MiB:(0|1|16)|fork_exec_wait)$")


def reaches():
    with open(REACH, "rb") as file:
        return tomllib.load(file)


def values_of(text):
    return {name: float(value) for name, value in re.findall(r"^(\w+) (-?[\d.]+)$", text.replace("\r", ""), re.MULTILINE)}


def grow(args, *words, harts=1, mem=None, append=None, more=()):
    program = [os.path.join(args.build, "perf", "grow"), *map(str, words)]
    more = [*more, *(["--append", append] if append else [])]
    return values_of(runs.corral(args, harts, program, icount=True, mem=mem or MEM, more=more))


def measure(args):
    """Name -> instructions (or bytes) of all that reach.toml speaks of."""
    done = runs.bench(args, 1, FIGURES, ["--repetitions=3", f"--sizes={SIZES}"], mem=MEM)
    figures = {name: values and values["ns"] for name, values in done.items()}
    figures.update({"children/" + name: value for name, value in grow(args, "children", 100, 256).items()})
    return figures


def most(figure, figures):
    """The largest value that is met, or None where what it depends on is not there."""
    limits = [figure["most"]] if "most" in figure else []
    if "of" in figure:
        parts = [figures.get(name) for name in figure["of"]]
        if None in parts:
            return None
        limits.append(figure["times"] * sum(parts))
    return min(limits)


def judge(figures, reach):
    """Rows: name, Linux's, the reach, the result, whether it is met."""
    rows = []
    for figure in reach["figure"]:
        result = figures.get(figure.get("from", figure["name"]))
        limit = most(figure, figures)
        if result is not None:
            result /= figure.get("per", 1)
        rows.append({"name": figure["name"], "linux": figure.get("linux"), "reach": limit, "result": result,
                     "met": result is not None and limit is not None and result <= limit})
    return rows


# ---- The guard: what is there must not get worse

def today():
    try:
        with open(TODAY, encoding="ascii") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def guarded(args):
    done = runs.bench(args, 1, GUARDED, ["--repetitions=1", "--min-time=200us", "--sizes=0,1,16"], mem="256M")
    return {name: values and round(values["ns"], 1) for name, values in done.items()}


def guard(args):
    """Messages of what became worse by more than the bound. With args.write what became better is kept."""
    kept, now = today(), guarded(args)
    worse = []
    for name, value in sorted(now.items()):
        before = kept.get(name)
        if value is None:
            worse.append(f"{name}: not measured")
        elif before is not None and value > before * BOUND:
            worse.append(f"{name}: {value:.1f}, was {before:.1f}: {100 * (value / before - 1):+.1f} %")
        if value is not None and args.write:
            kept[name] = value if before is None else min(value, before)
    worse += [f"{name}: no such benchmark any more" for name in sorted(set(kept) - set(now))]
    if args.write:
        with open(TODAY, "w", encoding="ascii") as file:
            json.dump(dict(sorted(kept.items())), file, indent=1)
            file.write("\n")
    return now, worse
