#!/usr/bin/env python3
"""compile_commands.py OUT COMMAND FILE...  writes a compilation database: each FILE is compiled by COMMAND."""
import json
import os
import shlex
import sys


def main():
    out, command, *files = sys.argv[1:]
    words = shlex.split(command)
    entries = [{"directory": os.getcwd(), "file": file, "arguments": [*words, "-c", file]} for file in files]
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w", encoding="utf-8") as stream:
        json.dump(entries, stream, indent=1)


if __name__ == "__main__":
    main()
