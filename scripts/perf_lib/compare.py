"""
Corral beside Linux 6.12, the same binaries in the same QEMU: instructions (user/bench under icount, one hart); interrupts, fences and
shared lines (tests/plugin/work.c under tests/plugin/lines.c); time as a ratio. What each figure means: docs/benchmarks.md.
"""
from corral_lib import machine
from perf_lib import lines, runs
from perf_lib.tables import number

PARTS = ("instructions", "shared", "wall")
ALIKE = 1.02   # below this ratio nobody wins
TINY = 0.005   # interrupts, fences or lines an operation that are as good as none
COUNTED = ("ipis", "fences", "touches", "transfers")
OF_ONE_HART = "^(floor.*|null_syscall|zero_.*|cow_.*/harts:1|cow_copy|cow_reuse|fork_.*|(mprotect|munmap)/.*/harts:1|map_touch_unmap|fault_.*/harts:1|file_.*)$"
TIMED = r"^(null_syscall|zero_fill|cow_copy|map_touch_unmap|fork_exit_wait/MiB:(0|16)|(munmap/pages:512|mprotect/pages:1|(fault|cow)_disjoint).*/harts:{})$"
ARTEFACTS = (
    "QEMU translates: a TLB flush, a write of satp, a change of sstatus.SUM (Linux: around each copy from or to user memory) or an "
    "interrupt costs microseconds there, and tens of cycles on silicon; a load that misses every cache costs what one that hits does.",
    "With more harts than the host has free cores, who waits for another hart waits for the host. So time is only given as a ratio of two "
    "kernels on the same QEMU, and says little about any processor.",
    "An instruction is not a cycle. Interrupts, fences and lines are counted, not timed: those figures do hold for other machines.")


def winner(ours, theirs, slack=0.0):
    """Who does with less: "Corral", "Linux", "", or None where one of them is missing."""
    if ours is None or theirs is None:
        return None
    if abs(ours - theirs) <= slack:
        return ""
    if ours > theirs * ALIKE:
        return "Linux"
    return "Corral" if theirs > ours * ALIKE else ""


def side(thp):
    return f"linux_{thp}"


class Comparison:
    """What was measured so far; `step` is called with the name of each run before it, `save` after it."""

    def __init__(self, args, step, save):
        self.args, self.step, self.save = args, step, save
        self.interrupted = None
        self.results = {"cut": [], "instructions": [], "shared": [], "wall": [], "artefacts": list(ARTEFACTS), "failed": {}, "complete": False}

    def names(self):
        """Of the runs, in order."""
        args, names = self.args, []
        sides = ["Corral", *[f"Linux, THP {thp}" for thp in args.thp]]
        if "instructions" in args.part:
            names += [f"instructions, {name}" for name in sides]
        if "shared" in args.part:
            names += [f"shared lines, {harts} harts, {name}" for harts in args.harts for name in sides]
        if "wall" in args.part:
            names += [f"time, {harts} harts, {name}" for harts in args.harts for name in sides[:2]]
        return names

    def attempt(self, name, measure):
        """What one run gives, or {} where it fails, which is kept and said, or where all has been ended."""
        try:
            if self.interrupted:
                return {}
            self.step(name)
            return measure()
        except machine.Interrupted as error:
            self.interrupted = error
            return {}
        except runs.Failed as error:
            self.results["failed"][name] = str(error)
            return {}

    def sides(self, what, corral, linux, thps):
        """{"corral": ..., "linux_never": ...}: dictionaries of figures by name."""
        done = {"corral": self.attempt(f"{what}, Corral", corral)}
        for thp in thps:
            done[side(thp)] = self.attempt(f"{what}, Linux, THP {thp}", lambda thp=thp: linux(thp))
            release = done[side(thp)].pop("kernel", None)
            self.results["linux"] = release or self.results.get("linux")
        return done

    def instructions(self):
        args, pattern = self.args, self.args.filter or OF_ONE_HART
        options = ["--repetitions=3", f"--sizes={args.sizes}", "--harts=1"]
        done = self.sides("instructions", lambda: runs.bench(args, 1, pattern, options),
                          lambda thp: runs.bench_on_linux(args, 1, pattern, options, thp=thp), args.thp)
        for name in done["corral"] or next(iter(done.values())):
            row = {"name": name}
            for key, figures in done.items():
                row[key] = (figures.get(name) or {}).get("ns")
            row["less"] = {key: winner(row["corral"], row[key]) for key in done if key != "corral"}
            self.results["instructions"].append(row)

    def shared(self, harts):
        args = self.args
        cases = (f"steps={args.steps}", *[case for case in lines.LINUX_CASES if not case.endswith("_word")])
        done = self.sides(f"shared lines, {harts} harts", lambda: lines.on_corral(args, harts, cases, operations=1),
                          lambda thp: lines.on_linux(args, harts, cases, thp), args.thp)
        for key, figures in done.items():
            missing = [case for case in cases[1:] if figures and not figures.get(case)]
            if missing:
                self.results["cut"].append(f"{key.replace('_', ', THP ').replace('linux', 'Linux').replace('corral', 'Corral')}, {harts} harts: "
                                           f"no time was left for {', '.join(missing)} (--timeout)")
        for case in cases[1:]:
            row = {"case": case, "harts": harts}
            for key, figures in done.items():
                found = figures.get(case)
                row[key] = found and {"ipis": found["ipis"], "fences": found["fences"], **{
                    what: found["kernel"][what] for what in ("touches", "transfers")}}
            row["less"] = {key: {what: winner(*[(row[which] or {}).get(what) for which in ("corral", key)], slack=TINY) for what in COUNTED}
                           for key in done if key != "corral"}
            self.results["shared"].append(row)

    def wall(self, harts):
        args, pattern = self.args, self.args.filter or TIMED.format(harts)
        options = ["--repetitions=3", "--min-time=1ms", "--max-time=3s", f"--harts={harts}", "--sizes=0,16"]
        done = self.sides(f"time, {harts} harts", lambda: runs.bench(args, harts, pattern, options, icount=False),
                          lambda thp: runs.bench_on_linux(args, harts, pattern, options, icount=False, thp=thp), args.thp[:1])
        ours, theirs = done["corral"], done[side(args.thp[0])]
        for name in ours:
            pair = [(figures.get(name) or {}).get("ns") for figures in (ours, theirs)]
            if None not in pair:
                self.results["wall"].append({"name": name, "harts": harts, "linux_by_corral": round(pair[1] / pair[0], 3)})

    def run(self):
        for part in self.args.part:
            for harts in self.args.harts if part != "instructions" else (None,):
                getattr(self, part)(*([harts] if harts else []))
                self.save(self.results)
                if self.interrupted:
                    raise self.interrupted
        self.results["complete"] = not self.results["failed"]
        self.save(self.results)


# ---- As text

def mark(who):
    return {"Linux": "Linux", "Corral": "Corral", "": "alike", None: ""}[who]


def instruction_table(results):
    keys = [key for key in ("linux_never", "linux_always") if any(key in row for row in results["instructions"])]
    heads = ["instructions, one hart", "Corral"]
    for key in keys:
        heads += [f"Linux, THP {key[6:]}", "times", "less"]
    rows = []
    for row in results["instructions"]:
        cells = [row["name"], number(row["corral"])]
        for key in keys:
            both = row["corral"] and row.get(key)
            cells += [number(row.get(key)), f"{row[key] / row['corral']:.2f}" if both else "-", mark(row["less"].get(key))]
        rows.append(tuple(cells))
    return tuple(heads), rows


def shared_table(results, harts):
    """Of each figure Corral's, and Linux's behind it."""
    own = [row for row in results["shared"] if row["harts"] == harts]
    keys = [key for key in ("linux_never", "linux_always") if any(key in row for row in own)]
    heads = [f"an operation, {harts} harts"]
    titles = {"ipis": "IPIs", "fences": "fences", "touches": "lines", "transfers": "transfers"}
    for what in COUNTED:
        heads += [titles[what], *[f"Linux {key[6:]}" for key in keys]]
    rows = []
    for row in own:
        cells = [row["case"]]
        for what in COUNTED:
            cells += [number(row[key][what]) + ("*" if key != "corral" and row["less"][key][what] == "Linux" else "") if row.get(key) else "-"
                      for key in ("corral", *keys)]
        rows.append(tuple(cells))
    return (*heads, "") if not rows else tuple(heads), rows


def wall_table(results):
    return ("time, as a ratio only", "harts", "Linux / Corral", "less"), [
        (row["name"], str(row["harts"]), f"{row['linux_by_corral']:.2f}", mark(winner(1, row["linux_by_corral"]))) for row in results["wall"]]


def linux_wins(results):
    """Lines: where Linux does with less."""
    found = [f"{row['name']}: {number(row[key])} instructions, Corral {number(row['corral'])} (THP {key[6:]})"
             for row in results["instructions"] for key, who in row["less"].items() if who == "Linux"]
    names = {"ipis": "IPIs", "fences": "fences", "touches": "shared lines", "transfers": "transfers"}
    found += [f"{row['case']}, {row['harts']} harts: {number(row[key][what])} {names[what]}, Corral {number(row['corral'][what])} (THP {key[6:]})"
              for row in results["shared"] for key, less in row["less"].items() for what, who in less.items() if who == "Linux"]
    return found + [f"{row['name']}, {row['harts']} harts: time, {row['linux_by_corral']:.2f} of Corral's"
                    for row in results["wall"] if winner(1, row["linux_by_corral"]) == "Linux"]


