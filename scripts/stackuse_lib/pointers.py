"""Which functions a call through a pointer may lead to, by type, from clang's intermediate code of the sources."""
import concurrent.futures
import os
import re
import subprocess

ATTRIBUTES = re.compile(r"\b(noundef|signext|zeroext|nonnull|noalias|dso_local|internal|hidden|returned|local_unnamed_addr|inreg|byval\([^)]*\)|"
                        r"sret\([^)]*\)|dereferenceable\(\d+\)|align \d+|tail|musttail|notail|fastcc)\b ?")
DEFINE = re.compile(r"^(?:define|declare) (.*?)@([\w.$]+)\((.*)\)[^()]*$")
NAME = re.compile(r"@([\w.$]+)")


def split(text):
    """At the commas that are in no bracket."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([{<") - (char in ")]}>")
        if char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in parts + [text[start:]] if part.strip()]


def first_type(text):
    """The type that an argument begins with."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char in "([{<") - (char in ")]}>")
        if char == " " and depth == 0 and text[i + 1:i + 2] != "(":
            return text[:i]
    return text


def tidy(text):
    return re.sub(r"(%(?:struct|union)\.anon)\.\d+", r"\1", ATTRIBUTES.sub("", text)).strip()


def function_type(result, arguments):
    return tidy(result) + "(" + ", ".join(first_type(tidy(argument)) for argument in split(arguments)) + ")"


def closing(text, start):
    """The index of the bracket that closes the one at start."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    return len(text)


class Pointers:
    def __init__(self, command, sources):
        self.calls = {}  # (function, file): types of its calls through pointers
        self.types = {}  # (function, file): its own
        self.taken = set()  # (function, file or None)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for source, text in zip(sources, pool.map(lambda source: self._compile(command, source), sources)):
                self._read(os.path.relpath(source), text)
        self.by_name = {}
        for name, file in self.types:
            self.by_name.setdefault(name, []).append(file)

    @staticmethod
    def _compile(command, source):
        return subprocess.run(command + ["-O0", "-g0", "-w", "-S", "-emit-llvm", "-o", "-", source], stdout=subprocess.PIPE, text=True, check=True).stdout

    def _read(self, file, text):
        here = None
        for line in text.splitlines():
            if line.startswith(("define", "declare")):
                match = DEFINE.match(line)
                here = (match[2], file) if line.startswith("define") else None
                if here:
                    self.types[here] = function_type(match[1], match[3])
            elif here and re.search(r"\bcall ", line):
                self._read_call(here, line)
            elif not line.startswith("source_filename"):
                self.taken |= {(name, file) for name in NAME.findall(line.partition(" = ")[2] if line.startswith("@") else line)}

    def _read_call(self, here, line):
        text = tidy(line.partition("call ")[2])
        match = re.search(r"(?:@[\w.$]+|%\d+)\(", text)
        asm = " asm " in " " + text
        if match is None or asm:
            self.taken |= {(name, here[1]) for name in NAME.findall(text)}
            return
        end = closing(text, match.end() - 1)
        arguments = text[match.end():end]
        self.taken |= {(name, here[1]) for name in NAME.findall(arguments)}
        if match[0].startswith("%"):
            self.calls.setdefault(here, set()).add(function_type(text[:match.start()], arguments))

    def types_called(self, name, file):
        """Of inline functions in headers any copy will do."""
        if (name, file) in self.calls:
            return self.calls[(name, file)]
        if file.endswith(".h"):
            return set().union(*(types for (other, _), types in self.calls.items() if other == name))
        return set()

    def targets(self, wanted):
        """(function, file) of that type whose address is taken, by its own file or, if it is not static, any."""
        found = set()
        for name, file in self.taken:
            for where in [file] if (name, file) in self.types else self.by_name.get(name, []):
                if self.types[(name, where)] == wanted:
                    found.add((name, where))
        return found
