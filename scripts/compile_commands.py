#!/usr/bin/env python3
"""
Writes a compilation database, for editors and clang-tidy: scripts/compile_commands.py OUT COMMAND FILE...

Each FILE is compiled by COMMAND, a string. `make compile_commands.json` runs it.
"""
import json
import os
import shlex
import sys

from corral_lib import manual


def main():
    if len(sys.argv) < 3:
        print(manual.page("compile_commands.py", __doc__, "scripts/compile_commands.py OUT COMMAND FILE..."))
        sys.exit("--help" not in sys.argv)
    out, command, *files = sys.argv[1:]
    words = shlex.split(command)
    entries = [{"directory": os.getcwd(), "file": file, "arguments": [*words, "-c", file]} for file in files]
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w", encoding="utf-8") as stream:
        json.dump(entries, stream, indent=1)


if __name__ == "__main__":
    main()
