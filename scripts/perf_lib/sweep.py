"""The benchmark under each value of a boot argument: instructions on one hart, and what is counted on several."""
import json
import os
import statistics

from perf_lib import gbench, runs
from perf_lib.tables import number

ONE_HART = (r"^(null_syscall|zero_fill|cow_copy|cow_reuse|fork_write|file_private_cow|fork_(call|exit_wait)/MiB:(0|16)|"
            r"(munmap/pages:512|mprotect/pages:1)/harts:1)$")
TOGETHER = r"^((munmap/pages:(1|512)|mprotect/pages:1|cow_disjoint|fault_disjoint)/harts:{0}|cow_copy|fork_exit_wait/MiB:0)$"
COUNTED = ("ipis", "fences")


def bench(args, value, harts, pattern, options, icount):
    program = [os.path.join(args.build, "user", "bench"), *runs.bench_words(pattern, [*options, f"--harts={harts}"])]
    text = runs.corral(args, harts, program, icount=icount, more=["--append", f"{args.knob}={value}"])
    return json.loads(text)


class Sweep:
    """As compare.Comparison: `step` before each run, `save` after it."""

    def __init__(self, args, step, save):
        self.args, self.step, self.save = args, step, save
        self.results = {"knob": args.knob, "values": args.values, "harts": args.harts, "results": {}, "counted": {}, "failed": {}, "complete": False}

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
                if args.harts > 1:
                    self.step(f"{args.knob}={value}, {args.harts} harts")
                    self.results["counted"][value] = bench(args, value, args.harts, args.filter or TOGETHER.format(args.harts),
                                                           ["--repetitions=3", "--min-time=200us", "--max-time=2s", "--sizes=0"], False)
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
    found = [("instructions, one hart", {value: medians(one, "ns") for value, one in results["results"].items()})]
    found += [(f"{what}, {results['harts']} harts", {value: medians(one, what) for value, one in results["counted"].items()}) for what in COUNTED]
    for title, by_value in found:
        names = list(dict.fromkeys(name for one in by_value.values() for name in one))
        if names:
            yield (title, *[f"{results['knob']}={value}" for value in values]), [
                (name, *[number(by_value.get(value, {}).get(name)) for value in values]) for name in names]
