"""Google Benchmark's JSON as user/bench writes it: read whole or cut short, and its table."""
import json
import re


def load(text):
    """The results of a run that may have been ended early: then what came whole, and "complete" in the context is false."""
    try:
        done = json.loads(text)
        done["context"]["complete"] = True
        return done
    except ValueError:
        pass
    ends = [match.end() for match in re.finditer(r"^    \}", text, re.MULTILINE)]
    for end in reversed(ends):
        try:
            done = json.loads(text[:end] + "\n]}")
        except ValueError:
            continue
        # Of the last one perhaps some entries are missing: its maximum is the last.
        entries = done["benchmarks"]
        while entries and entries[-1].get("aggregate_name") != "max" and not entries[-1].get("error_occurred"):
            entries.pop()
        done["context"]["complete"] = False
        return done
    return None


def figures(done):
    """name -> {"ns": [a value a repetition], "unit", "ipis": [...], ...}; error: {"error": message}"""
    found = {}
    for entry in done["benchmarks"]:
        if entry.get("error_occurred"):
            found[entry["run_name"]] = {"error": entry.get("error_message", "")}
        elif entry.get("run_type") == "iteration":
            own = found.setdefault(entry["run_name"], {})
            for key, value in entry.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool) and key not in (
                        "family_index", "per_family_instance_index", "repetitions", "repetition_index", "threads", "iterations", "cpu_time"):
                    own.setdefault("ns" if key == "real_time" else key, []).append(value)
    return found


def table(done):
    """As the benchmark's own, but for the unit."""
    lines = [f"{'name':32}{'median':>12}{'min':>12}{'max':>12}  ns"]
    by_name = {}
    for entry in done["benchmarks"]:
        if entry.get("error_occurred"):
            by_name[entry["run_name"]] = entry["error_message"]
        elif entry.get("run_type") == "aggregate":
            by_name.setdefault(entry["run_name"], {})[entry["aggregate_name"]] = entry["real_time"]
    for name, times in by_name.items():
        lines.append(f"{name:32}{times}" if isinstance(times, str) else
                     f"{name:32}" + "".join(f"{times.get(which, 0):12.1f}" for which in ("median", "min", "max")))
    return "".join(line + "\n" for line in lines)
