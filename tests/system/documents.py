"""
The commands in the documents, and how each is tried. A command is a line of an indented block that begins with a tool of ours or of the tool chain, or a span of
code in the text that begins with `make` or `scripts/`.

Each is looked at: its targets and scripts exist, and its options stand in --help. A span that is not a whole command (a script's name, `make` alone) is only looked at; so is
what INSTEAD names a reason for. The others are run: those of QUICK in each `make test`, all of them by `make documents`, in a fresh clone, in the order of the pages.
"""
import collections
import os
import re
import subprocess

TOOLS = re.compile(r"^(?:[A-Z_]+=\S+ )*(make|scripts/[\w.]+|\.ci/run|riscv64-linux-gnu-gcc|gdb-multiarch|/usr/bin/python3|build/user/\w+|qemu-system-riscv64|picocom|mcopy|git)\b")
SPANS = re.compile(r"^(?:[A-Z_]+=\S+ )*(make|scripts/\w+|\.ci/run|gdb-multiarch)(?: |$)")
PLACEHOLDER = re.compile(r"\.\.\.|\b(SEED|CALLS|DIR|NAME|PROGRAM|KNOB|VALUES)\b(?!=)|=n\b|/dev/sdX|\bN\b|\|sifive_u|--(?!help|list)[a-z]+$|\./program|FILE\b|A\.json")

Command = collections.namedtuple("Command", "page line text block")


def pages(root):
    done = subprocess.run(["git", "ls-files", "*.md"], cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    return sorted(done.stdout.split(), key=lambda page: page != "README.md")  # which is read first, and makes what others name


def in_page(root, page):
    fenced = False
    with open(os.path.join(root, page), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("```"):
                fenced = not fenced
            elif line.startswith("    ") and TOOLS.match(line.strip()):
                yield Command(page, number, re.split(r"\s{2,}#|\s#\s", line.strip())[0].strip(), True)
            elif not fenced and not line.startswith("    "):
                for span in re.findall(r"`([^`]+)`", line):
                    if SPANS.match(span):
                        yield Command(page, number, span, False)


def commands(root):
    return [command for page in pages(root) for command in in_page(root, page)]


# A command, or the beginning of some: why it is not run as it stands. (test, where it is), or (shorter, what is run for it), or (needs, what is not here).
INSTEAD = {
    "make test": ("test", ".ci/run"),
    "make format lint test": ("shorter", "make format-check layers"),
    "make system-test": ("test", "scripts/test"),
    "make user-test": ("test", "scripts/test"),
    "make kernel-test": ("test", "scripts/test"),
    "make chains": ("test", "tests/system/test_chains.py"),
    "make shell": ("test", "tests/system/test_shell.py"),
    "make debug": ("test", "tests/system/test_gdb.py"),
    "make flash": ("test", "tests/system/test_flash.py"),
    "make sdcard BOARD=sifive-unmatched && make flash": ("test", "tests/system/test_flash.py"),
    "scripts/flash": ("test", "tests/system/test_flash.py"),
    "make compare": ("test", "tests/system/test_compare.py"),
    "make sweep": ("shorter", "make sweep KNOB=fork VALUES=cow,tables HARTS=1 FILTER='^cow_copy$'"),
    "make report": ("test", "tests/system/test_report.py"),
    "scripts/corral diff": ("test", "tests/system/test_compare.py"),
    "make conformance": ("test", "tests/system/test_conformance.py"),
    "make sdcard": ("shorter", "make sdcard BOARD=sifive-unmatched"),
    "scripts/perf": ("shorter", "make perf-guard"),
    "make perf": ("test", "tests/system/test_perf.py"),  # its status says whether all aims are reached, which those of fork are not
    "make coverage": ("shorter", "UNIT_STEPS=10 make coverage"),
    "make torture": ("shorter", "make torture MINUTES=1"),
    "make soak": ("shorter", "make soak MINUTES=5"),
    "make exhaust": ("shorter", "make exhaust ROUNDS=20"),
    "make torture-defects": ("test", "tests/system/test_shadow.py"),
    "scripts/torture": ("test", "tests/system/test_shadow.py"),
    "make mutants": ("shorter", "scripts/mutants --count 1 --minutes 5"),
    "scripts/mutants": ("shorter", "scripts/mutants --count 1 --minutes 5"),
    "make model": ("test", "tests/system/test_models.py"),
    "make fuzz": ("test", "tests/system/test_fuzz.py"),
    "make documents": ("test", "tests/system/test_documents.py"),
    "make exercises": ("shorter", "make exercises N=6"),
    "build/user/bench": ("needs", "a riscv64 Linux machine; tests/system/test_perf.py runs it on Linux in QEMU"),
    "mcopy -i /dev/sdX3": ("needs", "a card; tests/system/test_images.py reads an image so"),
}

# Run in each `make test`: a second or two each.
QUICK = (
    "make help", "riscv64-linux-gnu-gcc -O2 -static -pthread hello.c -o hello", "scripts/corral run --harts 8 -- ./hello arg",
    "scripts/corral run --disk card.img -- ./hello /mnt/out.bin", "scripts/corral run --harts 4 -- bench --list",
)


def instead(text):
    """The longest entry that the command is, or begins with."""
    found = [begin for begin in INSTEAD if text == begin or text.startswith(begin + " ") or text == begin + "..."]
    return INSTEAD[max(found, key=len)] if found else None


def is_whole(command):
    return not PLACEHOLDER.search(command.text) and (command.block or " " in command.text)


def to_run(found):
    """What is run for these, each once, in their order."""
    seen = {}
    for command in found:
        how = instead(command.text)
        if how is None and is_whole(command):
            seen.setdefault(command.text, command)
        elif how is not None and how[0] == "shorter":
            seen.setdefault(how[1], command)
    return seen
