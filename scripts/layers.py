#!/usr/bin/env python3
"""Checks who includes whom (docs/architecture.md), and fails with a line for each #include that may not be there: scripts/layers.py

A layer may include itself and what ALLOWED names. "lib/hw.h" is the one door from mm/ to the hardware; <hw_arch.h>
comes through the include path, from firmware/include on the target and tests/fakes/include on the host.
"""
import pathlib
import re
import sys

from corral_lib import manual

ALLOWED = {
    "lib": set(),
    "mm": {"lib"},
    "fs": {"lib"},
    "firmware": {"lib"},
    "drivers": {"lib", "firmware"},
    "board": {"lib", "firmware", "drivers"},
    "kernel": {"lib", "mm", "fs", "firmware", "drivers", "board"},
}
# <...> headers: what each layer may take from outside.
FREESTANDING = {"stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h", "limits.h",
                "stdalign.h"}
SYSTEM = {
    "lib": FREESTANDING | {"string.h", "hw_arch.h"},
    "mm": FREESTANDING | {"string.h", "stdio.h", "hw_arch.h"},  # stdio.h: snprintf, for what the audit says
}
# Elsewhere also what picolibc and libfdt give.
SYSTEM_REST = FREESTANDING | {"string.h", "hw_arch.h", "stdio.h", "stdlib.h", "inttypes.h", "ctype.h", "libfdt.h"}
# Made by the build, in the build directory; and what a file of firmware/ may know of the kernel above it: its test build.
GENERATED = {"asm-offsets.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def problem(layer, kind, name):
    """Why this include may not be there, or None."""
    if kind == "<":
        allowed = SYSTEM.get(layer, SYSTEM_REST)
        return None if name in allowed else f"{layer}/ may not include <{name}>"
    if name in GENERATED and layer in ("firmware", "kernel"):
        return None
    other = name.split("/")[0]
    if "/" not in name or other not in ALLOWED:
        return f'"{name}" does not name its layer (like "mm/coremap.h")'
    if other != layer and other not in ALLOWED[layer]:
        below = ", ".join(sorted(ALLOWED[layer])) or "nothing"
        return f'{layer}/ may not include {other}/ ("{name}"): it may include {below}'
    return None


def check(root):
    found = []
    for layer in ALLOWED:
        for path in sorted((root / layer).rglob("*.[chS]")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                why = match and problem(layer, match[1], match[2])
                if why:
                    found.append(f"{path.relative_to(root)}:{number}: {why}")
    return found


def main():
    if len(sys.argv) > 1:
        print(manual.page("layers.py", __doc__, "scripts/layers.py"))
        sys.exit(sys.argv[1] not in ("-h", "--help"))
    found = check(pathlib.Path(__file__).resolve().parent.parent)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
