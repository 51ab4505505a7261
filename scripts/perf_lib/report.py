"""What the report shows: from the files of results that exist, and from short runs for what is missing."""
import glob
import os
import re

from corral_lib import machine
from perf_lib import compare, counts, gbench, page, plots, profile, record, runs, shootdown, sweep
from perf_lib.tables import number

HARTS = (1, 2, 4, 8)
FAULTS = ("zero_fill", "cow_copy", "cow_reuse", "map_touch_unmap")
SHOT = {"used_spinning/512": "munmap of 512 pages that all have used", "protect_used/512": "mprotect of such", "cow_copy_used": "a COW copy that all have read",
        "own_range/512": "munmap, nobody else has used it", "cow_copy_own": "a COW copy nobody else has used"}
FORKS = ("fork_call", "fork_exit_wait")


# ---- What is there, and what is measured for it

def faults_by_harts(args):
    return {str(harts): {name: value for name, value in counts.grow(args, "beside", 1, 1, 1, harts=harts, mem="512M").items() if name in FAULTS}
            for harts in HARTS if harts <= args.most_harts}


def shootdown_by_harts(args):
    rows = []
    for harts in HARTS[1:]:
        if harts <= args.most_harts:
            rows += shootdown.one(args, harts, "ipi", shootdown.FIRMWARE[0])
    return [row for row in rows if row["case"] in SHOT]


def of_growth(perf):
    """Of make perf's growth: the same by harts, or None."""
    found = {}
    for row in (perf or {}).get("growth", ()):
        if row["axis"] == "harts" and row["figure"] in FAULTS:
            for at, value in row["points"]:
                found.setdefault(str(at), {})[row["figure"]] = value
    return found or None


def forks(results):
    """{figure: [(MiB, instructions)]} of the benchmark, and of Linux where it was compared."""
    found = {}
    bench, compared = results.get("bench"), results.get("compare")
    if bench and bench["context"].get("icount"):
        for name, figures in gbench.figures(bench).items():
            match = re.fullmatch(rf"({'|'.join(FORKS)})/MiB:(\d+)", name)
            if match and "ns" in figures:
                found.setdefault(match[1], []).append((int(match[2]), sorted(figures["ns"])[len(figures["ns"]) // 2]))
    for row in (compared or {}).get("instructions", ()):
        match = re.fullmatch(rf"({'|'.join(FORKS)})/MiB:(\d+)", row["name"])
        for key in row:
            if match and key not in ("name", "less") and row[key] and not (key == "corral" and bench and bench["context"].get("icount")):
                label = match[1] if key == "corral" else f"Linux: {match[1]}" + ("" if key == "linux_never" else ", huge pages")
                found.setdefault(label, []).append((int(match[2]), row[key]))
    return {name: sorted(points) for name, points in found.items() if len(points) > 1}


def gather(args, step):
    """All results; what is missing is measured in a short form, and kept in report.json. "ended": the signal that ended it early, or None."""
    directory = os.path.join(args.build, "results")
    results = {name: record.load(os.path.join(directory, f"{name}.json")) for name in ("bench", "compare", "perf")}
    results["sweeps"] = [done for path in sorted(glob.glob(os.path.join(directory, "sweep-*.json"))) if (done := record.load(path)) and done.get("results")]
    kept_path = os.path.join(directory, "report.json")
    kept = {} if args.fresh else record.load(kept_path) or {}
    context = record.context()
    if kept.get("commit") != context["commit"]:
        kept = {"commit": context["commit"], "context": context}
    wanted = {"faults": lambda: of_growth(results["perf"]) or faults_by_harts(args),
              "shootdown": lambda: [row for row in (results["perf"] or {}).get("shootdown", ()) if row["case"] in SHOT and row["tlb"] == "ipi" and
                                    row["opensbi"] == shootdown.FIRMWARE[0]] or shootdown_by_harts(args),
              "profile": lambda: profile.cow_fault(args)}
    results["failed"], results["ended"] = {}, None
    if not forks(results):
        wanted["forks"] = lambda: {name: values and values["ns"] for name, values in runs.bench(
            args, 1, "^(floor.*|null_syscall|zero_fill|cow_copy|cow_reuse|fork_(call|exit_wait)/.*)$", ["--repetitions=3", "--sizes=1,16,64"]).items()}
    for name, measure in wanted.items():
        if name not in kept:
            try:
                if results["ended"]:
                    raise runs.Failed("ended early")
                step(name)
                kept[name] = measure()
            except machine.Interrupted as error:
                results["failed"][name], results["ended"] = "ended early", error.signum
                continue
            except runs.Failed as error:
                results["failed"][name] = str(error)
                continue
            record.save(kept_path, kept)
    return results | {"kept": kept}


STEPS = ("faults", "shootdown", "profile", "forks")


# ---- Figures

def fork_figure(results):
    found = forks(results)
    if not found:
        for name, value in results["kept"].get("forks", {}).items():
            if match := re.fullmatch(rf"({'|'.join(FORKS)})/MiB:(\d+)", name):
                found.setdefault(match[1], []).append((int(match[2]), value))
    series = {name: [point for point in points if point[0] > 0] for name, points in found.items()}
    series = {name: points for name, points in series.items() if points and "huge" not in name}
    if not series:
        return ""
    places = sorted({at for points in found.values() for at, _ in points})
    svg = plots.lines("fork", series, "MiB that the process has touched", "instructions", log="xy", places=[at for at in places if at])
    rows = [(name, *[number(dict(points).get(at)) for at in places]) for name, points in found.items()]
    return page.figure("plot-fork", "fork against memory", svg, "Instructions of the parent's fork(), and of fork, the child's exit and the wait together. Both axes are logarithmic.",
                       page.table(("MiB", *places), rows))


def fault_figure(results):
    found = results["kept"].get("faults")
    if not found:
        return ""
    harts = sorted(map(int, found))
    series = {name: [(n, found[str(n)][name]) for n in harts if name in found[str(n)]] for name in FAULTS if name in found[str(harts[0])]}
    svg = plots.lines("fault", series, "harts of the machine", "instructions", places=harts)
    return page.figure("plot-fault", "a fault against harts", svg, "Instructions a page, of one hart, on a machine with that many: first store to new memory, to a page that fork shares, "
                       "to one that is its alone again, and map, touch, unmap.", page.table(("harts", *harts), [(name, *[number(y) for _, y in points]) for name, points in series.items()]))


def shootdown_figure(results):
    rows = results["kept"].get("shootdown")
    if not rows:
        return ""
    series = {SHOT[case]: [(row["harts"], row["ipis"] + row["remote_fences"]) for row in rows if row["case"] == case] for case in SHOT}
    series = {title: points for title, points in series.items() if points}
    harts = sorted({row["harts"] for row in rows})
    svg = plots.lines("shootdown", series, "harts of the machine", "harts asked, an operation", places=harts)
    return page.figure("plot-shootdown", "a shootdown against harts", svg, "How many other harts an operation interrupts: one interruption a hart for 512 pages, and none for memory that they have not used.",
                       page.table(("harts", *harts), [(title, *[number(y) for _, y in points]) for title, points in series.items()]))


def ipi_figure(results):
    rows = (results.get("compare") or {}).get("shared") or []
    rows = [row for row in rows if row["case"] not in ("getpid", "null_syscall", "futex")]
    if rows:
        keys = [key for key in ("corral", "linux_never", "linux_always") if any(row.get(key) for row in rows)]
        # As many harts as Linux came to all of it on.
        harts = max(row["harts"] for row in rows)
        harts = max((n for n in {row["harts"] for row in rows} if all(row.get(key) for row in rows if row["harts"] == n for key in keys)), default=harts)
        own = [row for row in rows if row["harts"] == harts]
        titles = [{"corral": "Corral", "linux_never": "Linux 6.12", "linux_always": "Linux, huge pages"}[key] for key in keys]
        groups = {row["case"]: [row[key] and row[key]["ipis"] for key in keys] for row in own}
        caption = f"Interrupts to other harts an operation, {harts} harts that each work on memory of their own (cow_siblings: processes with pages in common)."
        data = "".join(page.table(*compare.shared_table(results["compare"], n)) for n in sorted({row["harts"] for row in rows}))
        caption += "".join(f" {line}." for line in results["compare"].get("cut", ()))
    else:
        done = [row for row in results["kept"].get("shootdown", ()) if row["harts"] == max(row["harts"] for row in results["kept"]["shootdown"])]
        if not done:
            return ""
        groups, titles, data = {row["case"]: [row["ipis"] + row["remote_fences"]] for row in done}, ["Corral"], ""
        caption = f"Interrupts to other harts an operation, {done[0]['harts']} harts. Linux beside it: make compare."
    return page.figure("plot-ipis", "interrupts an operation", plots.bars("ipis", groups, titles, "IPIs an operation", values=len(titles) == 1), caption, data)


def cow_figure(results):
    found = results["kept"].get("profile")
    if not found:
        return ""
    parts = found["parts"]
    svg = plots.bars("cow", {part: [parts[part]] for part in profile.PARTS}, [""], "instructions", values=True)
    rows = [(part, number(parts[part]), f"{100 * parts[part] / sum(parts.values()):.1f} %", profile.MEANS[part]) for part in profile.PARTS]
    return page.figure("plot-cow", "a copy-on-write fault, in parts", svg, f"{number(sum(parts.values()))} instructions, one hart, counted one by one and split by the source that they come from.",
                       page.table(("part", "instructions", "", "is"), rows) + page.table(("part", "most of them", "instructions"), [
                           (row["part"], row["at"], number(row["count"])) for row in found["functions"][:14]]))


def sweep_figure(done):
    by_value = {value: sweep.medians(one, "ns") for value, one in done["results"].items()}
    values = [value for value in done["values"] if value in by_value]
    base = by_value[values[0]]
    for value, more in done.get("rested", {}).items():
        by_value[value] |= {"first store after a rest": more["first store after a rest"]}
    changed = [name for name in base if any(abs(by_value[value].get(name, base[name]) / base[name] - 1) > 0.02 for value in values[1:] if base[name])]
    data = "".join(page.table(heads, rows) for heads, rows in sweep.tables(done))
    knob, title, harts = done["knob"], f"{done['knob']}=" + "|".join(values), done["harts"]
    titles = [f"{knob}={value}" for value in values]
    counted = [(f"How often an operation asks another of {harts} harts", "other harts asked, an operation", done.get("asked", {}))]
    counted += [(f"{what} an operation on {harts} harts", f"{what} an operation", {value: sweep.medians(one, name) for value, one in done["counted"].items()})
                for what, name in (("Interrupts", "ipis"), ("Fences", "fences"))]
    if changed:
        groups = {short(name): [by_value[value].get(name, 0) / base[name] for value in values] for name in changed[:8]}
        return page.figure(f"plot-sweep-{knob}", title, plots.bars(f"sweep-{knob}", groups, titles, f"times {knob}={values[0]}", log=wide(groups)),
                           "Instructions on one hart, as a ratio to the first; what changes by less than 2 % is left out." + " Logarithmic." * wide(groups), data)
    for what, label, found in counted:
        groups = {short(name): [found.get(value, {}).get(name) for value in values] for name in next(iter(found.values()), {})}
        groups = {name: group for name, group in groups.items() if differ(group)}
        if groups:
            return page.figure(f"plot-sweep-{knob}", title, plots.bars(f"sweep-{knob}", groups, titles, label, log=wide(groups)),
                               f"{what}; instructions on one hart do not differ by 2 %." + " Logarithmic." * wide(groups), data)
    return page.figure(f"plot-sweep-{knob}", title, "", "No instruction count differs by 2 %, and nothing that is counted on several harts.", data)


def short(name):
    return re.sub("/(pages|harts|MiB):", " ", name).replace("_", " ") if "/" in name else name


def differ(group):
    found = [value for value in group if value is not None]
    return len(found) > 1 and max(found) - min(found) > max(0.05, 0.05 * max(found))


def wide(groups):
    """Whether bars would not be seen beside others but on a logarithmic scale."""
    found = [value for group in groups.values() for value in group if value]
    return bool(found) and max(found) > 20 * min(found)


# ---- The page

def headline(results):
    rows = {row["name"]: row for row in (results.get("compare") or {}).get("instructions", ())}
    bench = results.get("bench")
    own = sweep.medians(bench, "ns") if bench and bench["context"].get("icount") else results["kept"].get("forks", {})
    found = []
    for name, what in (("cow_copy", "a COW copy"), ("cow_reuse", "a COW reuse"), ("zero_fill", "a zero fill"), ("fork_call/MiB:256", "fork() of 256 MiB"), ("fork_call/MiB:64", "fork() of 64 MiB"),
                       ("null_syscall", "a system call")):
        value = (rows.get(name) or {}).get("corral") or own.get(name)
        linux = (rows.get(name) or {}).get("linux_never")
        if value and not (name.endswith(":64") and "fork_call/MiB:256" in {**rows, **own}):
            found.append((number(round(value)), what, f"instructions; Linux {number(linux)}" if linux else "instructions"))
    return page.tiles(found)


def made_with(results):
    context = record.context()
    pairs = [("date", context["date"]), ("commit", context["commit"]), ("QEMU", context["qemu"]), ("compiler", context["compiler"]), ("host", context["host"])]
    for name in ("bench", "compare", "perf"):
        if results.get(name):
            own = results[name].get("context", {})
            pairs.append((f"{name}.json", f"{own.get('date', '')}, {own.get('commit', '')}, arguments: {' '.join(own.get('arguments', [])) or 'none'}"))
    for done in results["sweeps"]:
        own = done["context"]
        pairs.append((f"sweep-{done['knob']}.json", f"{own.get('date', '')}, {own.get('commit', '')}, arguments: {' '.join(own.get('arguments', []))}"))
    compared = results.get("compare") or {}
    pairs += [("Linux", compared.get("linux")), ("its arguments", compared.get("context", {}).get("linux_arguments"))]
    return page.terms(pairs)


def beside_linux(results):
    compared = results.get("compare")
    if not compared:
        return ""
    wins = compare.linux_wins(compared)
    parts = ["<h2>Beside Linux 6.12</h2>\n<p>The same binary in the same QEMU, instructions on one hart. <em>less</em> says who does with less.</p>"]
    if compared["instructions"]:
        parts.append("<details open><summary>Instructions</summary>" + page.table(*compare.instruction_table(compared), mark="Linux") + "</details>")
    if compared["wall"]:
        parts.append("<details><summary>Time, as a ratio only</summary>" + page.table(*compare.wall_table(compared), mark="Linux") +
                     "".join(f"<p><small>{page.text(line)}</small></p>" for line in compared["artefacts"]) + "</details>")
    parts += [f"<p>{page.text(line)}.</p>" for line in compared.get("cut", ())]
    parts.append("<p>Where Linux does with less: " + ("; ".join(map(page.text, wins)) if wins else "nowhere") + ".</p>")
    return "".join(parts)


def make(results):
    figures = [fork_figure(results), fault_figure(results), shootdown_figure(results), ipi_figure(results), cow_figure(results)]
    parts = [headline(results), '<div class="plots">', *figures, "</div>\n"]
    if results["sweeps"]:
        parts += ["<h2>Other designs</h2>\n<p class=\"soft\">Boot arguments that choose between them; docs/boot.md says what each does.</p>\n<div class=\"plots\">",
                  *[sweep_figure(done) for done in results["sweeps"]], "</div>\n"]
    parts.append(beside_linux(results))
    parts += [f"<p>Not measured: {page.text(name)}: {page.text(why)}</p>" for name, why in results["failed"].items()]
    parts += ["<h2>Measured with</h2>\n", made_with(results),
              "<p class=\"soft\">An instruction is not a cycle, and QEMU is no processor: docs/benchmarks.md says what each figure measures and what not to conclude.</p>\n"]
    return page.page("Corral: what copy-on-write costs", "Guest instructions under icount, the same on every machine; interrupts and fences as counted.", parts)
