"""The kernel's trace (kernel/trace.c, its lines in the log) as Chrome's trace events, which Perfetto and chrome://tracing show."""
import json

EVENTS = "fault,fork,tlb"
DESCRIPTION = """\
NAME
  corral trace - run a program and draw what each hart did for its memory

DESCRIPTION
  As corral run, with the kernel's trace ring on: page faults, forks and shootdowns, when
  they began and how long they took on which hart. Writes a JSON file in Chrome's trace event
  format: open it at https://ui.perfetto.dev or in chrome://tracing. Harts are threads; arrows
  lead from a shootdown to the harts that answer it. Each hart keeps its last RECORDS events.
  Faults that the kernel takes for a program, in a system call, are not in it.
"""
EPILOG = """\
EXIT STATUS
  The program's, as for corral run; 2 where there is no trace to be read.

EXAMPLES
  corral trace -- bench --quick --benchmark_filter=cow_siblings
      build/results/trace.json, of 4 harts
  corral trace --events tlb --records 65536 --out shoot.json --harts 8 -- ./threads
      shootdowns alone, and many of them
  corral trace --from build/results/last-run.log --out trace.json
      of a run that had the boot argument trace=fault,fork,tlb
  corral shell --append trace=fault,fork,tlb
      then: cat /proc/corral/trace
"""
MARK = "trace: "
OUTCOME = {"zero_fills": "zero fill", "zero_reads": "zero read", "cow_copies": "copy", "cow_reuses": "reuse",
           "object_faults": "file page", "marks_set": "mark", "spurious_faults": "spurious", "refused_faults": "refused"}
ACCESS = ("read", "write", "execute")


class BadTrace(Exception):
    """One line: why there is nothing to draw."""


class Trace:
    """What the lines say: records are (hart, event, begin, length, who, arguments), times in ticks."""

    def __init__(self, lines):
        self.hz, self.harts, self.outcomes = 0, 0, []
        self.written, self.records = {}, []
        for line in lines:
            self.take(line.split())
        if not self.hz:
            raise BadTrace("there is no trace in it: was the boot argument trace= given, and did the machine end by itself?")

    def take(self, words):
        try:
            if words[0] == "hz":
                self.hz, self.harts, self.outcomes = int(words[1], 16), int(words[3], 16), words[5:]
            elif words[1] == "written":
                self.written[int(words[0], 16)] = int(words[2], 16)
            else:
                numbers = [int(word, 16) for word in words[2:]]
                self.records.append((int(words[0], 16), words[1], *numbers[:3], numbers[3:7]))
        except (ValueError, IndexError):
            raise BadTrace(f"not a line of a trace: {' '.join(words)[:60]}") from None

    def lost(self):
        return sum(self.written.values()) - len(self.records)

    def us(self, ticks):
        return round(ticks * 1e6 / self.hz, 3)

    # ---- Chrome's events

    def slice(self, record):
        hart, event, begin, length, who, argument = record
        args = {"thread": who} if who else {}
        if event == "fault":
            outcome = self.outcomes[argument[2]] if argument[2] < len(self.outcomes) else "other"
            name = OUTCOME.get(outcome, outcome)
            args |= {"address": hex(argument[0]), "access": ACCESS[argument[1]]}
        elif event == "fork":
            name = "fork"
            args |= {"space": argument[0], "tables_shared": argument[1]}
        else:
            name = event
            args |= {"start": hex(argument[0]), "bytes": argument[1], "serial": argument[3]}
            if event == "shootdown":
                args["harts"] = [hart for hart in range(64) if argument[2] >> hart & 1]
            else:
                args["from"] = argument[2]
        return {"name": name, "cat": event, "ph": "X", "ts": self.us(begin), "dur": self.us(length), "pid": 0, "tid": hart,
                "args": args}

    def arrows(self):
        """From the hart that asks to each that answers, where both are still in the rings."""
        asked = {(record[0], record[5][3]): record for record in self.records if record[1] == "shootdown"}
        for hart, event, begin, _, _, argument in self.records:
            request = asked.get((argument[2], argument[3])) if event == "answer" else None
            if request is None:
                continue
            common = {"name": "shootdown", "cat": "shootdown", "id": f"{argument[2]}.{argument[3]}.{hart}", "pid": 0}
            yield {**common, "ph": "s", "ts": self.us(request[2]), "tid": argument[2]}
            yield {**common, "ph": "f", "bp": "e", "ts": self.us(begin), "tid": hart}

    def names(self):
        yield {"name": "process_name", "ph": "M", "pid": 0, "tid": 0, "ts": 0, "args": {"name": "Corral"}}
        for hart in range(self.harts):
            yield {"name": "thread_name", "ph": "M", "pid": 0, "tid": hart, "ts": 0, "args": {"name": f"hart {hart}"}}

    def to_json(self):
        # What begins together: the longer first, which the other is in.
        events = [self.slice(record) for record in self.records] + list(self.arrows())
        events.sort(key=lambda event: (event["ts"], -event.get("dur", 0)))
        return {"traceEvents": list(self.names()) + events, "displayTimeUnit": "ns",
                "otherData": {"harts": self.harts, "ticks_per_second": self.hz, "lost": self.lost()}}


def read(path):
    """Of the kernel's log, or of what /proc/corral/trace says."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\r\n") for line in file]
    marked = [line[len(MARK):] for line in lines if line.startswith(MARK)]
    return Trace(marked or [line for line in lines if line.strip()])


def add_options(add):
    add("--events", default=EVENTS, metavar="LIST", help=f"some of {EVENTS} (default: all)")
    add("--records", type=int, metavar="N", help="how many each hart keeps, a power of two (default 4096)")
    add("--out", metavar="FILE", help="where the JSON goes (default build/results/trace.json)")
    add("--from", dest="source", metavar="FILE", help="no run: of this log, or copy of /proc/corral/trace")


def boot_arguments(args):
    return [f"trace={args.events}"] + ([f"trace-records={args.records}"] if args.records else [])


def write(source, out):
    """One line about what was written."""
    trace = read(source)
    with open(out, "w", encoding="ascii") as file:
        json.dump(trace.to_json(), file)
    return f"{out}: {len(trace.records)} events of {trace.harts} harts" + (f", {trace.lost()} older ones lost" if trace.lost() else "")
