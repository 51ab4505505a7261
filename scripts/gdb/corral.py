"""
gdb's commands for Corral: corral harts, corral space, corral walk VA [SPACE], corral frame PA.

Types and addresses come from the kernel's debugging information; what the hardware and mm/ mean by the bits of an entry, and where the
coremap lies, from their headers. Memory is read by physical addresses (QEMU's PhyMemMode), each virtual one looked up in the
page tables here: so it does not matter what the hart that gdb has selected is doing.
"""
import contextlib
import os
import re

import gdb

LEVELS, BITS, PAGE_SHIFT = 3, 9, 12  # Sv39
PAGE, VA_BITS = 1 << PAGE_SHIFT, PAGE_SHIFT + LEVELS * BITS
ROOT_MASK = (1 << 44) - 1            # of satp, and of an entry behind its ten bits


def symbol(name):
    found = gdb.lookup_static_symbol(name) or gdb.lookup_global_symbol(name)
    if found is None:
        raise gdb.GdbError(f"no symbol {name}: is this kernel.elf?")
    return found


# ---- What headers say

class Header:
    """#defines of a header of the sources, by name: numbers."""

    def __init__(self, path, pattern):
        # The folder of the sources: a file of mm/ is two levels below it.
        root = os.path.dirname(os.path.dirname(symbol("spaces").symtab.fullname()))
        with open(os.path.join(root, path), encoding="ascii") as file:
            self.found = dict(re.findall(pattern, file.read()))

    def __getitem__(self, name):
        return int(self.found[name], 0)


class Bits:
    def __init__(self):
        shifts = Header("mm/pte.h", r"#define (PTE_\w+)\s+\(UINT64_C\(1\) << (\d+)\)")
        self.mask = {name: 1 << shifts[name] for name in shifts.found}

    def has(self, entry, *names):
        return all(entry & self.mask["PTE_" + name] for name in names)

    def is_table(self, entry):
        return self.has(entry, "V") and not any(self.has(entry, bit) for bit in "RWX")

    def is_detached(self, entry):
        return self.has(entry, "DETACHED") and not any(self.has(entry, bit) for bit in "VUG")

    def text(self, entry):
        return " ".join(name[4:] for name, mask in self.mask.items() if entry & mask) or "-"

    def state(self, entry, level):
        if entry == 0:
            return "nothing is mapped"
        if level and self.is_table(entry):
            return "leads to a table, private"
        if level and self.is_detached(entry):
            return "leads to a table, detached: no hart walks there"
        if not self.has(entry, "V"):
            return "parked: there, and out of reach" if self.has(entry, "U") else "reserved: untouched"
        if self.has(entry, "W"):
            return "a page, writable"
        return "a page, copy-on-write" if self.has(entry, "MAYWRITE") else "a page, not writable"


# ---- Memory

@contextlib.contextmanager
def physical():
    gdb.execute("maint packet Qqemu.PhyMemMode:1", to_string=True)
    try:
        yield
    finally:
        gdb.execute("maint packet Qqemu.PhyMemMode:0", to_string=True)


def read_physical(pa, size):
    with physical():
        return bytes(gdb.selected_inferior().read_memory(pa, size))


def entry_at(table, index):
    return int.from_bytes(read_physical(table + 8 * index, 8), "little")


def index_of(va, level):
    return va >> (PAGE_SHIFT + BITS * level) & ((1 << BITS) - 1)


def root_of_hart():
    satp = int(gdb.parse_and_eval("(unsigned long)$satp"))
    if satp >> 60 != 8:
        raise gdb.GdbError("this hart has no page tables yet")
    return (satp & ROOT_MASK) << PAGE_SHIFT


def kernel_address(va):
    """Physical, by the kernel's half of this hart's tables."""
    bits, table = Bits(), root_of_hart()
    for level in reversed(range(LEVELS)):
        entry = entry_at(table, index_of(va, level))
        table = (entry >> 10 & ROOT_MASK) << PAGE_SHIFT
        if not bits.has(entry, "V"):
            break
        if not bits.is_table(entry):
            return table + (va & ((1 << (PAGE_SHIFT + BITS * level)) - 1))
    raise gdb.GdbError(f"{va:#x} is not mapped in the kernel")


def read(va, kind):
    """A value of this type at a virtual address of the kernel's; it may cross a page."""
    data = b""
    while len(data) < kind.sizeof:
        part = min(kind.sizeof - len(data), PAGE - (va + len(data)) % PAGE)
        data += read_physical(kernel_address(va + len(data)), part)
    return gdb.Value(data, kind)


def read_symbol(name):
    value = symbol(name).value()
    return read(int(value.address), value.type)


def follow(pointer):
    return read(int(pointer), pointer.type.strip_typedefs().target())


def address_in(kind, field):
    """Bytes from the start of a struct to its field."""
    return next(each.bitpos // 8 for each in kind.fields() if each.name == field)


def listed(head_address, kind, field):
    """(address, value) of each struct of a list (lib/list.h) that is linked by this field."""
    link = gdb.lookup_type("struct list")
    offset = address_in(kind, field)
    at = int(read(head_address, link)["next"])
    while at != head_address:
        yield at - offset, read(at - offset, kind)
        at = int(read(at, link)["next"])


# ---- Spaces and harts

def spaces():
    kind = gdb.lookup_type("struct space")
    all_of = symbol("spaces").value()
    return list(listed(int(all_of["all"].address), kind, "link"))


def root_of(space):
    return int(space["root"]["v"]) << PAGE_SHIFT


def harts():
    state = read_symbol("harts")
    kind = gdb.lookup_type("struct hart")
    for index in range(int(state["count"])):
        yield read(int(state["block"]) + index * kind.sizeof, kind)


def registers(hart):
    """pc and privilege: of the gdb thread that is this hart. QEMU numbers them by id, from 1 on."""
    before = gdb.selected_thread()
    try:
        for thread in gdb.selected_inferior().threads():
            if thread.num == int(hart["id"]) + 1:
                thread.switch()
                return int(gdb.parse_and_eval("(unsigned long)$pc")), int(gdb.parse_and_eval("(int)$priv"))
    except gdb.error:
        pass
    finally:
        before.switch()
    return 0, None


def place(pc, privilege):
    """Where that is: only the kernel has symbols here."""
    if privilege == 1 and pc:
        return gdb.format_address(pc).partition(" ")[2]
    return {0: "(program)", 3: "(firmware)"}.get(privilege, "")


def number(expression):
    """What the user gave: 64 bits."""
    try:
        return int(gdb.parse_and_eval(expression)) & (1 << 64) - 1
    except gdb.error as error:
        raise gdb.GdbError(f"{expression}: {error}") from None


def in_hart(hart):
    """(thread, process, serial of the space), None where there is none."""
    if int(hart["thread"]) == 0:
        return None, None, None
    thread = follow(hart["thread"])
    process = follow(thread["process"]) if int(thread["process"]) else None
    mine = read(int(hart["local"]), gdb.lookup_type("struct mm_hart"))
    serial = int(follow(mine["space"])["serial"]) if int(mine["space"]) else None
    return thread, process, serial


class Corral(gdb.Command):
    """What the kernel's memory manager has: corral harts, space, walk, frame."""

    def __init__(self):
        super().__init__("corral", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)

    def invoke(self, argument, from_tty):
        if argument:
            raise gdb.GdbError(f"corral {argument}: there are harts, space, walk and frame")
        gdb.execute("help corral")


class Harts(gdb.Command):
    """corral harts: what each hart runs, in which space, and where it is."""

    def __init__(self):
        super().__init__("corral harts", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        print("hart  id  pid  tid  name             space  where")
        for hart in harts():
            thread, process, serial = in_hart(hart)
            pc, privilege = registers(hart)
            print(f"{int(hart['index']):4} {int(hart['id']):3} {int(process['pid']) if process else '-':>4} "
                  f"{int(thread['tid']) if thread else '-':>4}  {thread['name'].string() if thread else '-':16} "
                  f"{'-' if serial is None else serial:>5}  {pc:#x} {place(pc, privilege)}")


class Space(gdb.Command):
    """corral space: all address spaces, and which harts run them."""

    def __init__(self):
        super().__init__("corral space", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        pids = {}
        for hart in harts():
            _, process, serial = in_hart(hart)
            if process:
                pids.setdefault(serial, set()).add(int(process["pid"]))
        print("space        root  asid  users  active            pids running")
        for _, space in spaces():
            serial = int(space["serial"])
            print(f"{serial:5} {root_of(space):#11x} {int(space['asid']):5} {int(space['users']):6}  "
                  f"{int(space['active']):#018x}  {' '.join(map(str, sorted(pids.get(serial, [])))) or '-'}")


class Walk(gdb.Command):
    """
    corral walk VA [SPACE]: the entries on the way to an address, in this hart's tables, or in those of the space with this serial
    number. $corral_pa becomes the physical address, where there is a page.
    """

    def __init__(self):
        super().__init__("corral walk", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) not in (1, 2):
            raise gdb.GdbError("corral walk VA [SPACE]")
        va = number(words[0])
        gdb.set_convenience_variable("corral_pa", None)
        if va >> VA_BITS - 1 not in (0, (1 << 65 - VA_BITS) - 1):
            raise gdb.GdbError(f"{va:#x} is no address: its bits from {VA_BITS - 1} up are not all the same")
        table = root_of_hart() if len(words) == 1 else self.root(number(words[1]))
        self.walk(va, table, Bits())

    @staticmethod
    def root(serial):
        for _, space in spaces():
            if int(space["serial"]) == serial:
                return root_of(space)
        raise gdb.GdbError(f"there is no space {serial}; see corral space")

    @staticmethod
    def walk(va, table, bits):
        for level in reversed(range(LEVELS)):
            index = index_of(va, level)
            entry = entry_at(table, index)
            below = (entry >> 10 & ROOT_MASK) << PAGE_SHIFT
            print(f"level {level}  table {table:#x} [{index:3}] = {entry:#018x}  {bits.text(entry)}: {bits.state(entry, level)}")
            if level and (bits.is_table(entry) or bits.is_detached(entry)):
                table = below
                continue
            if bits.has(entry, "V") or bits.has(entry, "U"):
                pa = below + (va & ((1 << (PAGE_SHIFT + BITS * level)) - 1))
                gdb.set_convenience_variable("corral_pa", pa)
                print(f"physical {pa:#x}")
            return


class Frame(gdb.Command):
    """corral frame PA: what the coremap says of the frame at a physical address: its kind, how many slots name it."""

    def __init__(self):
        super().__init__("corral frame", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("corral frame PA")
        if argument == "$corral_pa" and gdb.convenience_variable("corral_pa") is None:
            raise gdb.GdbError("the last corral walk came to no page")
        pa = number(argument)
        kind = gdb.lookup_type("struct frame")
        coremap = Header("firmware/include/hw_arch.h", r"#define (HW_COREMAP)\s+\(\(struct frame \*\)UINT64_C\((\w+)\)\)")
        root_of_hart()
        try:
            frame = read(coremap["HW_COREMAP"] + (pa >> PAGE_SHIFT) * kind.sizeof, kind)
        except gdb.GdbError:
            raise gdb.GdbError(f"{pa:#x} is not in memory: there is no frame") from None
        names = {field.enumval: field.name for field in gdb.lookup_type("enum frame_kind").fields()}
        name = names.get(int(frame["kind"]), "?")
        print(f"frame {pa >> PAGE_SHIFT:#x} at {pa & ~(PAGE - 1):#x}: {name}, count {int(frame['count'])}, order {int(frame['order'])}")
        if name == "FRAME_TABLE":
            table = frame["table"]
            print(f"  level {int(frame['level'])}, {int(table['used'])} entries in use"
                  + (", stale" if table["stale"] else "") + (", shared" if table["shared"] else ""))


for command in (Corral, Harts, Space, Walk, Frame):
    command()
