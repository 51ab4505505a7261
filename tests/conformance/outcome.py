"""
What came of a case: what its run says, line by line of TAP where it counts its own cases, and how the two systems compare.
"""
import dataclasses
import re

PASS, FAIL, SKIP, NONE = "pass", "fail", "skip", "-"
TAP_LINE = re.compile(r"^\s*(?:# )?(ok|not ok) \d+\s*(.*)$")
NOLIBC_LINE = re.compile(r"^\d+ (\w+).*\[(OK|FAIL|SKIPPED)\]$")  # what the kernel's nolibc-test prints instead


@dataclasses.dataclass
class Run:
    status: int
    output: str
    log: str = ""
    seconds: float = 0


def subcase_name(text):
    """A TAP description without its directive and without numbers that differ from run to run."""
    text = re.sub(r"\s*#\s*(SKIP|XFAIL|TODO|XPASS).*$", "", text)
    text = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b", "0x…", text)
    return re.sub(r"\s+", " ", text).strip(" -")


def as_tap(line):
    found = NOLIBC_LINE.match(line)
    if not found:
        return line
    return {"OK": "ok", "FAIL": "not ok", "SKIPPED": "ok"}[found[2]] + f" 1 {found[1]}" + " # SKIP" * (found[2] == "SKIPPED")


def subcases(output):
    """(name, result) of each line of TAP, behind what it said it would run; the same name twice gets a number."""
    seen, running = {}, ""
    for line in output.splitlines():
        started = re.match(r"^\s*# \[RUN\] (.*)$", line)
        if started:
            running = subcase_name(started[1]) + ": "
        found = TAP_LINE.match(as_tap(line))
        if not found:
            continue
        directive = re.search(r"#\s*(?:SKIP|XFAIL)\b:?\s*(.*)", found[2])
        name = running + (subcase_name(found[2]) or subcase_name(directive[1] if directive else "") or "case")
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name += f" ({seen[name]})"
        yield name, SKIP if directive else PASS if found[1] == "ok" else FAIL


def broken(run):
    """Whether the audit after the last process found something, or did not come to it."""
    return bool(run.log) and "audit: ok" not in run.log


def results(case, run):
    """All that one program says: its own result first, then each of its subcases."""
    if run.status in case.skips and run.status != case.status:
        whole = SKIP
    elif run.status != case.status or broken(run):
        whole = FAIL
    else:
        good = (case.out is None or run.output == case.out) and run.output.endswith(case.ends)
        whole = PASS if good else FAIL
    found = {case.name: whole}
    if case.tap:
        found.update({f"{case.name}: {name}": result for name, result in subcases(run.output)})
    return found


def failed(case, run):
    return results(case, run)[case.name] == FAIL


def compare(case, linux, mine):
    """Rows: name, Linux's result, Corral's. A subcase that one side does not come to is none there."""
    left, right = results(case, linux) if linux else {}, results(case, mine)
    for name in {**left, **right}:
        yield name, left.get(name, NONE), right.get(name, NONE)


def judge(rows, known):
    """Each row with its verdict: same, ahead (passes only on Corral), reason, or FALLS SHORT."""
    for name, linux, mine in rows:
        because = next((text for pattern, text in known if pattern.fullmatch(name)), None)
        if linux == mine:
            yield name, linux, mine, "same", ""
        elif linux != PASS:
            yield name, linux, mine, "ahead" if mine == PASS else "same", ""
        elif because:
            yield name, linux, mine, "reason", because
        else:
            yield name, linux, mine, "FALLS SHORT", ""


def hints(run):
    """What the kernel said of calls that it lacks, and of worse."""
    lines = [re.sub(r"^\[[^]]*\]\s*(corral: )?|\(process \d+\) ", "", line) for line in run.log.splitlines()]
    wanted = [line for line in lines if re.search(r"enosys|audit: (?!ok)|panic", line)]
    return list(dict.fromkeys(wanted))[:8]
