"""Small defects: which lines they can be made in, and what becomes of those."""
import os
import re

HEADERS = "coremap.h walk.h pte.h tlb.h mapping.h range.h".split()
SKIP = ("audit.c", "asid.h", "region.c")  # what only looks: the audit is the tests' own eye; /proc/self/maps

# (what, pattern, replacement): the first group stays in front
CHANGES = (
    ("bound", r"(\w )<( )", r"\1<=\2"), ("bound", r"(\w )<=( )", r"\1<\2"), ("bound", r"(\w )>( )", r"\1>=\2"), ("bound", r"(\w )>=( )", r"\1>\2"),
    ("condition", r"()== ", r"\1!= "), ("condition", r"()!= ", r"\1== "), ("condition", r"()&& ", r"\1|| "), ("condition", r"()\|\| ", r"\1&& "),
    ("condition", r"(\()!(\w)", r"\1\2"), ("condition", r"(if \()(\w)", r"\1!\2"),
    ("operator", r"(\w )\+ (\w)", r"\1- \2"), ("operator", r"(\w )- (\w)", r"\1+ \2"), ("operator", r"(\w )\| (\w)", r"\1\& \2"),
    ("operator", r"(\w )& (\w)", r"\1| \2"), ("operator", r"([(= ])~(\w)", r"\1\2"), ("operator", r"(\w)\+\+", r"\1--"), ("operator", r"(\w)--", r"\1++"),
    ("constant", r"( )true\b", r"\1false"), ("constant", r"( )false\b", r"\1true"), ("constant", r"( )1\b(?![^;]*:)", r"\g<1>2"), ("constant", r"([ (])0\b", r"\g<1>1"),
    ("permission", r"()PTE_W\b", r"\1PTE_R"), ("permission", r"()PTE_MAYWRITE\b", r"\1PTE_W"), ("permission", r"()PTE_V\b", r"\1PTE_U"),
)
DROPPED = re.compile(r"^\t+(\(void\))?(\w*_(put|get|put_slow|drop|fence\w*|shootdown\w*|lock|unlock|wait|clear|swap|store|set|note\w*|free|sync_icache|unlink|park"
                     r"|count\w*|revoke)|atomic_thread_fence|fence)\(.*\);$|^\t+[\w>.-]+ ?[-+|&]?= [^;]*;$|^\t+[\w>.-]+(\+\+|--);$")


def files(root):
    with open(os.path.join(root, "mm", "sources.mk"), encoding="utf-8") as file:
        names = re.findall(r"(\w+)\.o", file.read())
    return ["mm/" + name + ".c" for name in names if name + ".c" not in SKIP] + ["mm/" + name for name in HEADERS]


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read().split("\n")


def _code_lines(text):
    """Numbers of lines within functions that are no comments and no checks."""
    depth, comment = False, False
    for number, line in enumerate(text):
        if line == "{":
            depth = True
        elif line == "}":
            depth = False
        elif depth:
            if "/*" in line:
                comment = True
            if not comment and not re.search(r"ASSERT|CHECK|mm_count|LIKELY\(hw_|static |hw_relax|MUST_CHECK|^\t*[\w ]+ \*?\w+;$", line):
                yield number
            if "*/" in line:
                comment = False


def _candidates(text, number):
    line = text[number]
    for what, pattern, instead in CHANGES:
        for match in re.finditer(pattern, line):
            yield what, [line[:match.start()] + match.expand(instead) + line[match.end():]]
    if DROPPED.match(line):
        yield "left out", ["\t;"]
        if number + 1 < len(text) and DROPPED.match(text[number + 1]) and text[number + 1].count("\t") == line.count("\t"):
            yield "order", [text[number + 1], line]


def draw(chance, root, names):
    """-> {file, line (from 1), what, old: lines, new: lines}"""
    while True:
        name = chance.choice(names)
        text = lines_of(os.path.join(root, name))
        lines = list(_code_lines(text))
        if not lines:
            continue
        number = chance.choice(lines)
        choices = list(_candidates(text, number))
        if choices:
            what, new = chance.choice(choices)
            return {"file": name, "line": number + 1, "what": what, "old": text[number:number + len(new)], "new": new}


def put(root, mutant):
    """Makes the change; where the lines have moved, at the nearest place that has them. The file's text before, or None: not there any more."""
    path = os.path.join(root, mutant["file"])
    text, old = lines_of(path), mutant["old"]
    places = [i for i in range(len(text)) if text[i:i + len(old)] == old]
    if not places:
        return None
    at = min(places, key=lambda i: abs(i + 1 - mutant["line"]))
    write(path, text[:at] + mutant["new"] + text[at + len(old):])
    return text


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(text))


def told(mutant):
    return f"{mutant['file']}:{mutant['line']} {mutant['what']}: {mutant['old'][0].strip()}  ->  {mutant['new'][0].strip()}"
