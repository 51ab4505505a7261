"""
The benchmark under each value of a boot argument: instructions on one hart, and what is counted on several; beside it what the benchmark does not ask
for, but a knob is about: first stores of a hart that was idle (tests/perf/grow.c), and whom a shootdown asks (tests/perf/shoot.c).
"""
import json
import os
import statistics

from perf_lib import counts, gbench, runs
from perf_lib.tables import number

ONE_HART = (r"^(null_syscall|zero_fill|cow_copy|cow_reuse|fork_write|file_(shared_fault|private_cow)|fork_exec_wait|fork_(call|exit_wait)/MiB:(0|16)|"
            r"(munmap/pages:512|mprotect/pages:1)/harts:1)$")
TOGETHER = r"^((munmap/pages:(1|512)|mprotect/pages:1|cow_disjoint|fault_disjoint)/harts:{0}|cow_copy|fork_exit_wait/MiB:0)$"
COUNTED = ("ipis", "fences")
RESTED = 56  # pages: counts.grow
SHOT = ("used_spinning/1", "used_spinning/512", "protect_used/512", "own_range/1", "own_range/512", "cow_copy_used", "cow_copy_own")


def bench(args, value, harts, pattern, options, icount):
    program = [os.path.join(args.build, "user", "bench"), *runs.bench_words(pattern, [*options, f"--harts={harts}"])]
    return json.loads(runs.corral(args, harts, program, icount=icount, more=[*machine(args), "--append", f"{args.knob}={value}"]))


def machine(args):
    more = ["--qemu", args.qemu] if args.qemu else []
    return [*more, *(["--qemu-args", args.qemu_args] if args.qemu_args else [])]


def rested(args, value):
    """Instructions of a first store after a rest, and how many of them found a page cleared ahead."""
    done = counts.grow(args, "rested", RESTED, append=f"{args.knob}={value}", more=machine(args))
    return {"first store after a rest": done["store"], "of them in a page cleared ahead": done["cleared_uses"] / RESTED}


def asked(args, value):
    """Case -> other harts asked an operation, or asked to fence."""
    text = runs.corral(args, args.harts, [os.path.join(args.build, "perf", "shoot"), str(args.harts)], more=[*machine(args), "--append", f"{args.knob}={value}"])
    rows = {name: (int(ipis) + int(fences)) / int(count) for name, count, ipis, fences in map(str.split, text.splitlines())}
    return {name: rows[name] for name in SHOT if name in rows}


class Sweep:
    """As compare.Comparison: `step` before each run, `save` after it."""

    def __init__(self, args, step, save):
        self.args, self.step, self.save = args, step, save
        self.results = {"knob": args.knob, "values": args.values, "harts": args.harts, "results": {}, "counted": {}, "rested": {}, "asked": {}, "failed": {}, "complete": False}

    def names(self):
        return [f"{self.args.knob}={value}, {what}" for value in self.args.values for what in self.kinds()]

    def kinds(self):
        return ["1 hart"] + ([f"{self.args.harts} harts"] if self.args.harts > 1 else [])

    def run(self):
        args = self.args
        for value in args.values:
            try:
                self.step(f"{args.knob}={value}, 1 hart")
                self.results["results"][value] = bench(args, value, 1, args.filter or ONE_HART, ["--repetitions=3", "--sizes=0,16"], True)
                if not args.filter:
                    self.results["rested"][value] = rested(args, value)
                if args.harts > 1:
                    self.step(f"{args.knob}={value}, {args.harts} harts")
                    self.results["counted"][value] = bench(args, value, args.harts, args.filter or TOGETHER.format(args.harts),
                                                           ["--repetitions=3", "--min-time=200us", "--max-time=2s", "--sizes=0"], False)
                    if not args.filter:
                        self.results["asked"][value] = asked(args, value)
            except runs.Failed as error:
                self.results["failed"][value] = str(error)
            self.save(self.results)
        self.results["complete"] = not self.results["failed"]
        self.save(self.results)


def medians(done, what):
    return {name: statistics.median(figures[what]) for name, figures in gbench.figures(done).items() if what in figures}


def tables(results):
    """(heads, rows): instructions, and of each thing that is counted one."""
    values = results["values"]
    found = [("instructions, one hart", {value: medians(one, "ns") | results.get("rested", {}).get(value, {}) for value, one in results["results"].items()})]
    found += [(f"{what}, {results['harts']} harts", {value: medians(one, what) for value, one in results["counted"].items()}) for what in COUNTED]
    found.append((f"asked, {results['harts']} harts", results.get("asked", {})))
    for title, by_value in found:
        names = list(dict.fromkeys(name for one in by_value.values() for name in one))
        if names:
            yield (title, *[f"{results['knob']}={value}" for value in values]), [
                (name, *[number(by_value.get(value, {}).get(name)) for value in values]) for name in names]
