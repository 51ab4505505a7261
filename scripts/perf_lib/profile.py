"""Where the instructions of an operation go: tests/plugin/work.c on one hart under tests/plugin/profile.c, split by the source they come from."""
import collections
import os
import re
import subprocess

from perf_lib import runs

PARTS = ("program", "trap", "walk", "decide", "allocation", "copy", "fence")
MEANS = {"program": "the program's own store and loop", "trap": "into the kernel and back", "walk": "down the page table to the entry, with its lock",
         "decide": "which kind of fault it is; counts, marks", "allocation": "a frame for the copy, and the old one's count", "copy": "512 words",
         "fence": "who must be told; sfence.vma"}
# By the innermost function, inlined or not: the first that matches "file:function".
RULES = (("copy", r"^page\.S:|:hw_page_copy$"), ("fence", r"^tlb\.[ch]:|:hw_fence"), ("trap", r"^(trap|start)\.[Sc]:|^(trap|signal|sched|timer|fp|syscall)\.[ch]:"),
         ("allocation", r"^(coremap|buddy|cleared|slab)\.[ch]:|:frame_"), ("walk", r"^(walk|pte|lock|bits|atomic|share|view)\.[ch]:"), ("decide", r""))


def innermost(elf, addresses):
    """Address -> "file:function"."""
    text = subprocess.run(["riscv64-linux-gnu-addr2line", "-a", "-f", "-i", "-s", "-e", elf], input="\n".join(map(hex, addresses)), text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    found = {}
    for block in re.split(r"^(?=0x)", text, flags=re.MULTILINE)[1:]:
        address, function, at, *_ = block.splitlines()
        found[int(address, 16)] = f"{at.split(':')[0]}:{function}"
    return found


def part_of(place):
    return next(part for part, rule in RULES if re.search(rule, place))


def read(path):
    """(operations, {address: count}) of the one case."""
    counts, operations = {}, 0
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == "case":
                operations = int(words[2])
            else:
                counts[int(words[1], 16)] = int(words[2])
    if not operations:
        raise runs.Failed("the plugin saw no operation")
    return operations, counts


def split(operations, counts, places):
    """{"parts": part -> instructions an operation, "functions": the most of them}"""
    parts, functions = collections.Counter(dict.fromkeys(PARTS, 0.0)), collections.Counter()
    for address, count in counts.items():
        place = places.get(address, "program")
        part = part_of(place) if address >> 63 else "program"
        parts[part] += count / operations
        functions[part, place] += count / operations
    return {"operations": operations, "parts": dict(parts),
            "functions": [{"part": part, "at": place, "count": round(count, 2)} for (part, place), count in functions.most_common(25)]}


def cow_fault(args, case="cow_disjoint"):
    path = os.path.join(args.build, "results", "profile.txt")
    plugin = f"-plugin {os.path.join(args.build, 'perf', 'profile.so')},out={path}"
    runs.corral(args, 1, [os.path.join(args.build, "perf", "work"), "1", "2048", case], icount=True,
                more=["--qemu-args", plugin, "--append", "zero=demand"])
    operations, counts = read(path)
    elf = os.path.join(os.path.dirname(args.kernel), "kernel.elf")
    return {"case": case} | split(operations, counts, innermost(elf, sorted(address for address in counts if address >> 63)))
