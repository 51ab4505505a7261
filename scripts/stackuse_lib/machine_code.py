"""The functions of a linked kernel, from its disassembly: what each has on the stack at each call it makes."""
import re
import subprocess

HEADER = re.compile(r"([0-9a-f]{16}) <([^>]+)>:")
LINE = re.compile(r"([0-9a-f]+):\s+(\S+)\s*([^#]*?)\s*(?:#\s*([0-9a-f]+))?(?:\s*<.*)?$")
BRANCHES = {"beq", "bne", "blt", "bge", "bltu", "bgeu", "beqz", "bnez", "blez", "bgez", "bltz", "bgtz", "bgt", "ble", "bgtu", "bleu"}
ENDS = {"ret", "sret", "mret", "ebreak", "unimp", "c.unimp"}


class Function:
    def __init__(self, name, start):
        self.name, self.start, self.end = name, start, start
        self.calls = []  # (address of the callee, bytes on the stack at the call)
        self.pointers = []  # (address of the call, bytes on the stack)
        self.frame = 0
        self.returns = False


class Code:
    def __init__(self, kernel, tools):
        self.kernel, self.tools = kernel, tools
        self.at = {}  # address: (operation, operands, address in the comment, next address)
        self.functions = {}  # by address
        self.compiled = self._compiled()
        self._read()
        self._follow_all()

    def _compiled(self):
        """The starts of functions of C, which end before the next one begins, also where the compiler thinks that they do not end."""
        text = subprocess.run([self.tools + "readelf", "-sW", self.kernel], stdout=subprocess.PIPE, text=True, check=True).stdout
        return {int(line.split()[1], 16) for line in text.splitlines() if " FUNC " in line}

    def _read(self):
        text = subprocess.run([self.tools + "objdump", "-d", "--no-show-raw-insn", self.kernel], stdout=subprocess.PIPE, text=True, check=True).stdout
        function, last = None, None
        for line in text.splitlines():
            header = HEADER.match(line)
            if header:
                function = Function(header[2], int(header[1], 16))
                self.functions[function.start] = function
                continue
            match = LINE.match(line.strip())
            if not match or function is None:
                continue
            address = int(match[1], 16)
            if last is not None and self.at[last][3] is None:
                self.at[last][3] = address
            self.at[address] = [match[2], re.sub(r"\s*<[^>]*>", "", match[3]), int(match[4], 16) if match[4] else None, None]
            function.end, last = address, address

    # ---- sp through a function

    def _big_step(self, address):
        """What `add sp,sp,REGISTER` adds: the register was loaded in the instructions before."""
        register, value = self.at[address][1].split(",")[2], None
        before = [a for a in range(address - 64, address, 2) if a in self.at]
        for a in before:
            operation, operands = self.at[a][:2]
            part = operands.split(",")
            if part[0] == register and operation in ("lui", "li"):
                value = int(part[1], 0)
                if operation == "lui":
                    value = (value & 0xfffff) << 12
                    value -= (value & 0x80000000) * 2
            elif part[0] == register and operation in ("add", "addi", "addw", "addiw") and part[1] == register:
                value += int(part[2], 0)
        if value is None:
            raise SystemExit(f"stackuse: cannot tell what {address:x} adds to sp")
        return value

    def _step(self, address, depth):
        operation, operands = self.at[address][:2]
        part = operands.split(",")
        if part[0] != "sp":
            return depth
        if operation in ("add", "addi") and part[1] == "sp":
            return depth - (int(part[2], 0) if re.match(r"-?\d", part[2]) else self._big_step(address))
        if operation == "sub" or (operation in ("add", "addi") and part[1] != "sp"):
            raise SystemExit(f"stackuse: cannot follow sp at {address:x}: {operation} {operands}")
        return depth  # loads and moves: another stack, whose entry is one of its own

    def _next(self, function, address, depth):
        """The addresses that follow, with sp's depth; notes the calls."""
        operation, operands, comment, following = self.at[address]
        last = operands.split(",")[-1]
        if operation in ENDS:
            function.returns = function.returns or operation == "ret"
            return []
        if operation in BRANCHES:
            return [int(last, 16), following]
        if operation == "j" or (operation == "jr" and comment is not None):
            return [int(last, 16) if operation == "j" else comment]
        if operation in ("jal", "jalr", "call"):
            callee = comment if operation == "jalr" else int(last, 16)
            if callee is None:
                function.pointers.append((address, depth))
                return [following]
            function.calls.append((callee, depth))
            if not self.functions[callee].returns:
                self.waiting.setdefault(callee, set()).add(function.start)
                return []
            return [following]
        if operation == "jr":
            if depth == 0:  # a call as the last thing, or a table of cases: both
                function.pointers.append((address, depth))
                function.returns = True
            self.tables.append(depth)
            return []
        return [following]

    def _leave(self, function, target, depth, following):
        """Whether it is another function's start: then it goes on there."""
        if target not in self.functions or target == function.start:
            return False
        if target == following and function.start in self.compiled:
            return True
        function.calls.append((target, depth))
        if self.functions[target].returns:
            function.returns = True
        else:
            self.waiting.setdefault(target, set()).add(function.start)
        return True

    def _follow(self, function):
        function.calls, function.pointers, function.frame, seen = [], [], 0, {}
        self.tables = []
        todo = [(function.start, 0)]
        while todo:
            address, depth = todo.pop()
            if address is None or address not in self.at or seen.get(address, -1) >= depth:
                continue
            seen[address] = depth
            after = self._step(address, depth)
            function.frame = max(function.frame, after)
            following = self.at[address][3]
            todo += [(to, after) for to in self._next(function, address, after) if not self._leave(function, to, after, following)]
            if not todo and self.tables:
                # Where a table of cases leads is not read: to whatever nothing else leads to.
                depth = self.tables.pop()
                todo = [(a, depth) for a in range(function.start, function.end + 1, 2) if a in self.at and a not in seen][:1]
                if todo:
                    self.tables.append(depth)

    def _follow_all(self):
        """Code behind a call that does not come back is not reached: who returns is found from those who certainly do."""
        self.waiting = {}
        todo = list(self.functions)
        while todo:
            function = self.functions[todo.pop()]
            before = function.returns
            self._follow(function)
            if function.returns and not before:
                todo += self.waiting.pop(function.start, ())

    # ---- Where addresses come from

    def sources(self, addresses):
        """For each address the functions that it is in, innermost first: lists of (function, file)."""
        text = subprocess.run([self.tools + "addr2line", "-a", "-f", "-i", "-e", self.kernel], input="\n".join(f"{a:x}" for a in addresses),
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        found, here, lines = {}, None, iter(text.splitlines())
        for line in lines:
            if line.startswith("0x"):
                here = found.setdefault(int(line, 16), [])
            else:
                here.append((line, next(lines).rpartition(":")[0]))
        return found
