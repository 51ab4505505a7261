"""
Memory exhausted, round after round: tests/user/hogs.c on a machine of 64 MiB, started by Debian's busybox as a shell where that has been
fetched. The program says which processes SIGKILL has ended; the kernel's log, whom its rule (docs/abi.md) named: these must be
the same, the shell must live, and at the end the audit must find each frame free that was free before the first program.
"""
import collections
import os
import re
import subprocess
import sys
import tempfile
import time

from corral_lib import machine
from torture_lib import shadow

ROOT = shadow.ROOT
ROUNDS_AT_ONCE = 20  # that one process makes, and then the shell starts the next
SECONDS = 20         # a round at most, on a very busy machine
SCRIPT = 'n=0; while [ $n -lt {times} ]; do /bin/hogs {rounds} $(({seed} + n)) {where} || exit 1; n=$((n + 1)); done; echo the shell lives'
LIVES = "the shell lives"


def command(build, rounds, harts, seed, image, log):
    hogs = os.path.join(build, "user", "tests", "hogs")
    busybox = os.path.join(build, "debian", "busybox-static", "usr", "bin", "busybox")
    where = "/mnt" if image else ""
    words = [os.path.join(ROOT, "scripts", "corral"), "run", "--build", build, "--kernel", os.path.join(build, "virt-debug", "Image"),
             "--harts", str(harts), "--mem", "64M", "--append", "audit=on", "--timeout", str(120 + rounds * SECONDS), "--log", log,
             "--file", f"{hogs}:/bin/hogs", *(["--disk", f"{image}:/mnt"] if image else [])]
    if not os.path.exists(busybox):
        return [*words, "--", hogs, str(rounds), str(seed), *where.split()]
    once = min(ROUNDS_AT_ONCE, rounds)
    return [*words, "--", busybox, "sh", "-c", SCRIPT.format(times=-(-rounds // once), rounds=once, seed=seed, where=where)]


def verdict(shell, rounds, status, output, log):
    """What is wrong: texts; how many rounds there were, and how many processes were ended."""
    ended = collections.Counter(re.findall(r"^ended (\d+)$", output, re.MULTILINE))
    named = collections.Counter(re.findall(r"out of memory: hogs \(process (\d+)\)", log))
    others = [name for name in re.findall(r"out of memory: (\S+)", log) if name != "hogs"]
    made = len(re.findall(r"^round \d+: ", output, re.MULTILINE))
    wrong = [] if status == 0 else [f"status {status}: {output[-300:]}"]
    if made < rounds:
        wrong.append(f"{made} rounds of {rounds}")
    if ended != named:
        wrong.append(f"ended, and not named in the log: {sorted(ended - named)}; named, and not ended: {sorted(named - ended)}")
    if others:
        wrong.append(f"ended, too: {others}")
    if shell and LIVES not in output:
        wrong.append("the shell does not live")
    if "audit: ok" not in log:
        wrong.append("the audit at the end is not clean, or frames are missing")
    return wrong, made, sum(ended.values())


def watch(process, rounds):
    """Its output; on a terminal the round, meanwhile."""
    lines, began = [], time.monotonic()
    for line in process.stdout:
        lines.append(line)
        if sys.stderr.isatty() and line.startswith("round "):
            made = sum(line.startswith("round ") for line in lines)
            left = (time.monotonic() - began) / made * (rounds - made) / 60
            print(f"\r\033[Kexhaust: round {made} of {rounds}, {left:.0f} minutes left\r", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return "".join(lines)


def new_disk(path):
    """Where there is mkfs.fat."""
    try:
        with open(path, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.fat", "-F", "32", "-s", "1", path], check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        return None
    return path


def run(build, rounds, harts, seed, say):
    """Whether all was well."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        image, log = new_disk(os.path.join(scratch, "disk.img")), os.path.join(scratch, "log")
        words = command(build, rounds, harts, seed, image, log)
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=machine.die_with_parent(os.getpid()))
        try:
            output = watch(process, rounds)
        finally:
            process.terminate()  # scripts/corral takes its QEMU along
            status = process.wait()
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        sound = image is None or subprocess.run(["fsck.fat", "-n", image], capture_output=True, check=False).returncode == 0
    wrong, made, ended = verdict("sh" in words, rounds, status, output, text)
    say(f"{made} rounds in {time.monotonic() - began:.0f} s, {ended} processes ended; {LIVES if LIVES in output else 'no shell'}; " +
        " ".join(re.findall(r"audit: .*", text)[-1:]))
    for why in wrong + ([] if sound else ["what is on the disk is not sound"]):
        say("FAILED: " + why)
    if wrong:
        os.makedirs(os.path.join(build, "results"), exist_ok=True)
        with open(os.path.join(build, "results", "exhaust.txt"), "w", encoding="utf-8") as file:
            file.write(output + "\n--- kernel\n" + text)
    return sound and not wrong
