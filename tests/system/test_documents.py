"""The documents: what they say to type works, what they name is there, what they link to exists."""
import os
import re
import runpy
import shutil
import subprocess
import time

import documents
import fat_image
import pytest
from conftest import BUILD, LONG, ROOT

FOUND = documents.commands(ROOT)
WHERE = {f"{command.page}:{command.line}": command for command in FOUND}
MANUAL = ("NAME", "SYNOPSIS", "DESCRIPTION", "ARGUMENTS", "OPTIONS", "EXIT STATUS")
ELSEWHERE = {"compare.py", "design.md"}  # Google Benchmark's; what Corral began from
HELLO = """
#include <stdio.h>
int main(int argc, char **argv)
{
	FILE *out = argc > 1 && argv[1][0] == '/' ? fopen(argv[1], "w") : stdout;

	if (!out)
		return 1;
	fprintf(out, "hello, %s\\n", argc > 1 ? argv[1] : "world");
	return fclose(out) != 0;
}
"""


def make_targets():
    done = subprocess.run(["make", "-qp", "help"], cwd=ROOT, capture_output=True, text=True, check=False)
    return set(re.findall(r"^([a-z][\w.-]*):", done.stdout, re.MULTILINE))


def helps(script, word=""):
    done = subprocess.run([ROOT / script, *([word] if word else []), "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
                          stdin=subprocess.DEVNULL)
    return done.stdout if done.returncode == 0 else ""


def test_there_are_documents_with_commands():
    assert {"README.md", "CONTRIBUTING.md", "HARDWARE.md", "docs/benchmarks.md", "docs/teaching.md"} <= {command.page for command in FOUND}
    assert sum(command.block for command in FOUND) > 20


def test_the_map_of_the_house_is_true():
    """docs/architecture.md: rooms and who may enter are those of scripts/layers.py, mm's parts and the headers at the arrows are there; no file of mm/ is left out."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split("```")[1]
    layers = runpy.run_path(str(ROOT / "scripts" / "layers.py"), run_name="layers")["ALLOWED"]
    assert set(layers) <= set(re.findall(r"\b(\w+)/", drawing + "lib/"))
    for room, text in re.findall(r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", page, re.MULTILINE):
        if room in layers:
            below = set(re.findall(r"`(\w+)`", text.split("(")[0])) & set(layers)
            every = layers["drivers"] | {"drivers"} if "and below" in text else layers["kernel"] if "all of them" in text else below
            assert every == layers[room], (room, text)
    box = "\n".join(re.findall(r"^   \|(.*?)\|", drawing, re.MULTILINE))
    parts = set(re.findall(r"\b[a-z]+\b", re.sub(r"\(.*?\)|mm/|\w+ them:", "", box)))
    assert len(parts) > 30 and not [part for part in parts if not (ROOT / "mm" / f"{part}.c").exists()]
    named = set(re.findall(r"`([a-z_]+)\.[ch]`", page)) | parts
    assert not [path.name for path in (ROOT / "mm").glob("*.c") if path.stem not in named]
    rooms = ("mm", "fs", "drivers", "firmware", "lib")
    assert not [name for name in re.findall(r"\b(\w+\.h)\b", drawing) if not any((ROOT / room / name).exists() for room in rooms)]


def test_targets_and_variables_exist():
    targets, wrong = make_targets(), []
    makefile = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "Makefile", *(ROOT / "tests").glob("*/*.mk")])
    for command in FOUND:
        for part in re.findall(r"(?:^|&& )(?:[A-Z_]+=\S+ )*make ([^&|]*)", command.text):
            for word in re.sub(r"=(\"[^\"]*\"|'[^']*'|\S*)", "=", part).split():
                name = word.rstrip("=").rstrip(".")
                known = re.search(rf"\$\({name}\)|\b{name}\b", makefile) if "=" in word else word.startswith("-") or name in targets or not name
                if not known:
                    wrong.append(f"{command.page}:{command.line}: {command.text}: {word}")
    assert not wrong


def test_scripts_and_options_exist():
    wrong, said = [], {}
    for command in FOUND:
        match = re.match(r"^(scripts/\w+)((?: [a-z]+)?)(.*)", command.text.split(" -- ")[0])
        if not match or not os.access(ROOT / match[1], os.X_OK):
            if match and not os.path.exists(ROOT / match[1]):
                wrong.append(f"{command.page}:{command.line}: no {match[1]}")
            continue
        for option in set(re.findall(r" (--[a-z][\w-]*)", match[3])):
            for word in (match[2].strip(), ""):
                said.setdefault((match[1], word), helps(match[1], word))
            if not any(option in said[match[1], word] for word in (match[2].strip(), "")):
                wrong.append(f"{command.page}:{command.line}: {match[1]} has no {option}")
    assert not wrong


def test_what_is_not_run_says_why():
    texts = [command.text for command in FOUND]
    for begin, (kind, what) in documents.INSTEAD.items():
        assert any(text.startswith(begin) for text in texts) or begin.startswith("scripts/"), f"no document has {begin} any more"
        assert kind != "test" or os.path.exists(ROOT / what), what
    for text in documents.QUICK:
        assert any(other.startswith(text) for other in texts), f"no document has {text} any more"


def anchors(page):
    with open(ROOT / page, encoding="utf-8") as file:
        titles = re.findall(r"^#+ (.*)$", file.read(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_lead_somewhere():
    wrong = []
    for page in documents.pages(ROOT):
        with open(ROOT / page, encoding="utf-8") as file:
            links = re.findall(r"\]\(([^)#:\s]*)(?:#([\w-]+))?\)", file.read())
        for path, anchor in links:
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(ROOT / target):
                wrong.append(f"{page}: {path}")
            elif anchor and target.endswith(".md") and anchor not in anchors(target):
                wrong.append(f"{page}: {path}#{anchor}")
    assert not wrong


def test_functions_that_are_linked_are_there():
    """[`name`](file): the file has it."""
    wrong, count = [], 0
    for page in documents.pages(ROOT):
        with open(ROOT / page, encoding="utf-8") as file:
            for name, path in re.findall(r"\[`(\w+)`\]\(([^)#]+\.[chS])\)", file.read()):
                count += 1
                source = (ROOT / os.path.dirname(page) / path).resolve()
                if not source.exists() or not re.search(rf"^[^\t/*#].*\b{name}\b|^{name}:", source.read_text(encoding="utf-8"), re.MULTILINE):
                    wrong.append(f"{page}: {name} in {path}")
    assert not wrong and count > 5


def test_files_that_are_named_exist():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    names = {os.path.basename(name) for name in tracked}
    wrong = []
    for page in documents.pages(ROOT):
        with open(ROOT / page, encoding="utf-8") as file:
            for span in re.findall(r"`((?:[\w{}*,-]+/)*[\w-]+\.(?:[chS]|py|pml|toml|md|mk))`", file.read()):
                if span not in ELSEWHERE and os.path.basename(span) not in names or ("/" in span and not any(name.endswith(span) for name in tracked)):
                    wrong.append(f"{page}: {span}")
    assert not wrong


def test_exercises_fit_the_sources():
    done = subprocess.run([ROOT / "scripts" / "exercises", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def prepare(where):
    (where / "hello.c").write_text(HELLO)
    fat_image.new(where / "card.img")


def run(text, where, limit):
    print("$", text)
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "O") and not key.startswith("CORRAL_")}
    return subprocess.run(text, shell=True, cwd=where, capture_output=True, text=True, errors="replace", check=False, timeout=limit,
                          stdin=subprocess.DEVNULL, env=environment)


@pytest.mark.skipif(BUILD != ROOT / "build", reason="built elsewhere than the documents say")
def test_quick_commands(tmp_path):
    """README's own lines, in an empty folder beside the tree."""
    prepare(tmp_path)
    for name in ("scripts", "Makefile", "build", "lib", "mm", "fs", "drivers", "board", "kernel", "firmware", "user", "tests", "linker"):
        (tmp_path / name).symlink_to(ROOT / name)
    for text in documents.QUICK:
        done = run(text, tmp_path, 120)
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert "./hello arg" not in text or done.stdout == "hello, arg\n"


@LONG
def test_every_command(tmp_path):
    """All pages, in a fresh clone, in order. Hours are shortened as documents.py says."""
    where = tmp_path / "corral"
    subprocess.run(["git", "clone", "-q", ROOT, where], check=True)
    (where / "build").mkdir()
    if (ROOT / "build" / "debian").exists():
        shutil.copytree(ROOT / "build" / "debian", where / "build" / "debian", symlinks=True)
    prepare(where)
    wrong = []
    for text, command in documents.to_run(FOUND).items():
        began = time.monotonic()
        done = run(text, where, 3600)
        print(f"{command.page}:{command.line}: {text}: {done.returncode}, {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode != 0:
            print(done.stdout[-800:], done.stderr[-800:], flush=True)
            wrong.append(f"{command.page}:{command.line}: {text}: {done.returncode}\n{done.stdout[-800:]}{done.stderr[-800:]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK)))
def test_each_script_explains_itself(script):
    pages = [helps("scripts/" + script)]
    parts = re.findall(r"^    (\w+) ", pages[0][pages[0].find("\nARGUMENTS"):], re.MULTILINE) if script in ("corral", "torture") else []
    assert len(parts) == {"corral": 4, "torture": 5}.get(script, 0)
    pages += [helps("scripts/" + script, part) for part in parts]
    for text in pages:
        heads = re.findall(r"^[A-Z][A-Z ]+$", text, re.MULTILINE)
        ours = [head for head in heads if head in MANUAL]
        assert ours == sorted(ours, key=MANUAL.index), text
        assert {"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS"} <= set(heads), f"scripts/{script} --help says {text!r}"
        assert re.search(rf"^NAME\n  {re.escape(script)}( \w+)? - \w.+\n\nSYNOPSIS\n  \S*{re.escape(script)}\b", text), text
        unsaid = [line for line, after in zip(text.splitlines(), text.splitlines()[1:]) if re.match(r"  --?[a-z-]+( \S+)?$", line) and not after.startswith("     ")]
        assert not unsaid, f"options without a word: {unsaid}"
