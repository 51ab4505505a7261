"""Which cache lines harts share: runs tests/plugin/work.c under tests/plugin/lines.c, and says it by symbol."""
import bisect
import collections
import os
import re
import subprocess

from perf_lib import counts, runs

OPERATIONS = 10000
SITES = 20
LINUX_CASES = ("own_word", "shared_word", "null_syscall", "getpid", "futex", "fault_disjoint", "cow_disjoint", "cow_siblings",
               "munmap_disjoint")
RESTED = 56  # pages of a hart after a rest: as many as are cleared ahead
INSTRUCTIONS, TAKEN = "instructions a store, one hart", "of them in a frame cleared ahead"
COREMAP = 0xFFFFFFE000000000
COREMAP_END = 0xFFFFFFF000000000


class Symbols:
    """Names of addresses, from nm -n."""

    def __init__(self, path):
        self.addresses, self.names = [], []
        if not path:
            return
        with open(path, encoding="ascii") as file:
            for line in file:
                address, _, name = line.split()
                self.addresses.append(int(address, 16))
                self.names.append(name)

    def name(self, address):
        """The symbol that an address lies in, without what the compiler adds to a part of a function."""
        at = bisect.bisect_right(self.addresses, address) - 1
        if at < 0 or at == len(self.addresses) - 1:
            return None
        return re.sub(r"\.(isra|part|constprop|cold)\..*", "", self.names[at])

    def data(self, address):
        if COREMAP <= address < COREMAP_END:
            return "coremap"
        return self.name(address) or ("heap" if address >> 63 else "user address")


class Line:
    """What the plugin says of one line."""

    def __init__(self, words):
        self.address, self.physical = int(words[1], 16), int(words[2], 16)
        self.owner = words[3]  # u(ser), f(irmware), k(ernel)
        self.rounds, self.touches, self.transfers = map(int, words[4:7])
        self.sites = []  # pc, stores, harts, count


def read(path):
    """[(operations, {"ipis", "fences"}, [Line])] of a plugin's file, a case each."""
    cases = []
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == "case":
                cases.append((int(words[2]), dict(zip(("ipis", "fences"), map(int, words[3:5]))), []))
            elif words[0] == "line":
                cases[-1][2].append(Line(words))
            else:
                cases[-1][2][-1].sites.append((int(words[1], 16), words[2] == "w", int(words[3], 16), int(words[4])))
    return cases


def describe(line, symbols):
    """(what the line holds, which functions touch it): a frame or a slab object has only the functions."""
    functions = collections.Counter()
    for pc, _, _, count in line.sites:
        functions[symbols.name(pc) or f"{pc:#x}"] += count
    return symbols.data(line.address), ", ".join(name for name, _ in functions.most_common(3))


def places(elf, addresses):
    """Address -> "function file:line < its caller where it is inlined"."""
    if not elf or not addresses:
        return {}
    text = subprocess.run(["riscv64-linux-gnu-addr2line", "-a", "-f", "-i", "-s", "-e", elf, *map(hex, addresses)],
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    found = {}
    for block in re.split(r"^(?=0x)", text, flags=re.MULTILINE)[1:]:
        address, *words = block.splitlines()
        found[int(address, 16)] = " < ".join(f"{function} {at.split(' ')[0]}"
                                             for function, at in zip(words[::2], words[1::2]))
    return found


def sites(operations, lines, elf):
    """Where the kernel accesses the lines that it shares, most often first."""
    count = collections.Counter()
    for line in lines:
        if line.owner == "k":
            for pc, store, _, times in line.sites:
                count[pc, store] += times
    top = count.most_common(SITES)
    named = places(elf, sorted({pc for (pc, _), _ in top}))
    return [{"at": named.get(pc, f"{pc:#x}"), "store": store, "count": times / operations} for (pc, store), times in top]


def summarise(operations, counted, lines, symbols, elf=None):
    """Figures an operation, and the kernel's lines by symbol."""
    by_symbol = collections.defaultdict(lambda: [0, 0, 0])
    figures = {"operations": operations} | {name: value / operations for name, value in counted.items()}
    for kind, owner in (("kernel", "k"), ("firmware", "f"), ("user", "u")):
        own = [line for line in lines if line.owner == owner]
        figures[kind] = {"lines": len(own), "touches": sum(line.touches for line in own) / operations,
                         "transfers": sum(line.transfers for line in own) / operations}
    for line in lines:
        if line.owner == "k":
            sums = by_symbol[describe(line, symbols)]
            sums[0] += line.touches / operations
            sums[1] += line.transfers / operations
            sums[2] += 1
    figures["symbols"] = [{"symbol": data, "by": by, "touches": sums[0], "transfers": sums[1], "lines": sums[2]}
                          for (data, by), sums in sorted(by_symbol.items(), key=lambda item: -item[1][0])]
    figures["sites"] = sites(operations, lines, elf)
    return figures


def result(output, path, symbols, elf=None, partial=False):
    names = re.findall(r"^case (\S+) \d+ \d+\s*$", output, re.MULTILINE)
    cases = read(path)
    if not names or (len(cases) != len(names) and not partial):
        raise runs.Failed(f"{len(cases)} cases seen by the plugin, {len(names)} run")
    return {name: summarise(*case, symbols, elf) for name, case in zip(names, cases)}


def plugin_argument(args, path):
    return f"{os.path.join(args.build, 'perf', 'lines.so')},out={path}"


def on_corral(args, harts, cases=(), append="zero=demand", operations=None):
    """What idle harts clear ahead is a part of its own (after_rest): here it would only make two runs differ."""
    path = os.path.join(args.build, "results", f"lines-corral-{harts}.txt")
    output = runs.corral(args, harts, [os.path.join(args.build, "perf", "work"), str(harts), str(operations or OPERATIONS), *cases],
                         more=["--qemu-args", f"-plugin {plugin_argument(args, path)}", "--append", append])
    beside = os.path.dirname(args.kernel)
    return result(output, path, Symbols(os.path.join(beside, "kernel.symbols")), os.path.join(beside, "kernel.elf"))


def after_rest(args, way):
    """First stores of harts that have been idle before, with frames cleared ahead (zero=pool) or without."""
    one = counts.grow(args, "rested", RESTED, append=f"zero={way}")
    shared = on_corral(args, args.harts, ("fault_rested",), append=f"zero={way}")["fault_rested"]["kernel"]
    return {INSTRUCTIONS: one["store"], TAKEN: one["cleared_uses"] / RESTED,
            f"kernel lines, {args.harts} harts": shared["touches"], f"transfers, {args.harts} harts": shared["transfers"]}


def on_linux(args, harts, cases=LINUX_CASES, thp="never"):
    """
    The same binary on Linux 6.12, one boot, one marked round a case, its third: each of its faults there waits for all harts, which
    takes long where the host runs few at a time; where the time is up, what there is. Its symbols are not known here: addresses
    stand for them.
    """
    path = os.path.join(args.build, "results", f"lines-linux-{harts}.txt")
    output = runs.linux(args, harts, os.path.join(args.build, "perf", "work"), [str(harts), "1", *cases],
                        ["-plugin", plugin_argument(args, path)], thp=thp)
    return result(output, path, Symbols(None), partial=True)
