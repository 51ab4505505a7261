"""What a result was measured with, and files of results: whole or not at all."""
import datetime
import json
import os
import platform
import subprocess

from perf_lib import runs


def said_by(*command):
    try:
        done = subprocess.run(command, cwd=runs.ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith(("model name", "uarch"))]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def context(**more):
    """Of this machine, this tree, and what the caller says."""
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": said_by("git", "describe", "--always", "--dirty", "--abbrev=12"),
            "qemu": (said_by("qemu-system-riscv64", "--version").splitlines() or [""])[0],
            "compiler": (said_by("riscv64-linux-gnu-gcc", "--version").splitlines() or [""])[0],
            "host": f"{os.cpu_count()} x {processor()}", **more}


def load(path):
    """None where there is none, or none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def save(path, results):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.replace(f"{path}.{os.getpid()}", path)
