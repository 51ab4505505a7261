#!/usr/bin/env python3
"""Makes the kernel's symbol table for backtraces (firmware/ksyms.h) as assembly, from the first link.

  scripts/mksyms.py make NM ELF OUT.S     writes the table of ELF's functions; without an ELF ("-") an empty one
  mksyms.py check NM OLD NEW      fails unless both links have the same functions at the same addresses
"""
import subprocess
import sys

from corral_lib import manual


def functions(nm, elf):
    """(address, name) of each function, sorted, one name an address, local labels left out."""
    if elf == "-":
        return []
    found = {}
    for line in subprocess.run([nm, elf], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if len(words) != 3 or words[1] not in "tTwW" or words[2].startswith((".L", "$")):
            continue
        address, kind, name = int(words[0], 16), words[1], words[2]
        # A global name says more than a local one at the same address.
        if address not in found or (kind == "T" and found[address][0] != "T"):
            found[address] = (kind, name)
    return sorted((address, name) for address, (_, name) in found.items())


def assembly(symbols):
    lines = ["/* Made by scripts/mksyms.py. */", '\t.section .rodata.ksyms, "a"', "\t.balign 8",
             "\t.globl ksyms", "\t.type ksyms, @object", "ksyms:"]
    lines += [f"\t.dword {address:#x}, .Lname{i}" for i, (address, _) in enumerate(symbols)]
    lines += ["\t.dword 0, 0", "\t.size ksyms, . - ksyms", "\t.globl ksyms_count", "\t.type ksyms_count, @object",
              "ksyms_count:", f"\t.word {len(symbols)}", "\t.size ksyms_count, 4"]
    lines += [f'.Lname{i}:\t.asciz "{name}"' for i, (_, name) in enumerate(symbols)]
    return "\n".join(lines) + '\n\t.section .note.GNU-stack, "", @progbits\n'


def main():
    if len(sys.argv) < 5 or sys.argv[1] in ("-h", "--help"):
        print(manual.page("mksyms.py", __doc__, "scripts/mksyms.py make NM ELF OUT.S", "scripts/mksyms.py check NM OLD NEW"))
        sys.exit("--help" not in sys.argv)
    what, nm, first, second = sys.argv[1:5]
    if what == "make":
        with open(second, "w", encoding="ascii") as out:
            out.write(assembly(functions(nm, first)))
    elif functions(nm, first) != functions(nm, second):
        sys.exit(f"mksyms: functions moved between {first} and {second}: "
                 "does linker/kernel.ld put .rodata.ksyms behind all text?")


if __name__ == "__main__":
    main()
