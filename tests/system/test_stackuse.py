"""scripts/stackuse on small programs: that it follows calls, pointers and recursion, and refuses what is too deep or not bounded."""
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CROSS = "riscv64-linux-gnu-"
CLANG = "clang --target=riscv64-linux-gnu -march=rv64imac -mabi=lp64 -ffreestanding"
START = """
#define NEVER __attribute__((noinline, noipa))
long use(volatile long *);
NEVER long use(volatile long *at) { return at[0] + at[1]; }
NEVER static long deep(long n) { volatile long room[%d]; room[0] = n; room[n] = 1; return use(room) + n; }
"""
END = "void _start(void) { for (;;) entry(3); }"
PROGRAMS = {
    "direct": ("long entry(long n); NEVER long entry(long n) { return deep(n) + 1; }", 0),
    "pointer": ("long (*volatile way)(long) = deep; long entry(long n); NEVER long entry(long n) { return way(n) + 1; }", 0),
    "other-type": ("long shallow(int); NEVER long shallow(int n) { return n; } long (*volatile way)(int) = shallow; long (*volatile other)(long) = deep;"
                   "long entry(long n); NEVER long entry(long n) { return way(3) + 1; }", None),
    "recursion": ("long entry(long n); NEVER long entry(long n) { return n == 0 ? deep(n) : entry(n - 1) * n + use(&n); }", 0),
}


def stackuse(folder, program, words, stack, rounds=None):
    source, kernel = folder / "program.c", folder / "program.elf"
    source.write_text(START % words + PROGRAMS[program][0] + END)
    subprocess.run([CROSS + "gcc", "-O2", "-g", "-march=rv64imac", "-mabi=lp64", "-mcmodel=medany", "-nostdlib", "-static", "-ffreestanding", "-o",
                    kernel, source], check=True)
    script = f"""
import sys
sys.path.insert(0, "{ROOT}/scripts")
from stackuse_lib import exceptions, graph, machine_code, pointers
exceptions.RECURSION = {{"entry": ({rounds}, "")}} if {rounds} is not None else {{}}
exceptions.POINTERS, exceptions.CUT = {{}}, {{}}
calls = graph.Graph(machine_code.Code("{kernel}", "{CROSS}"), pointers.Pointers("{CLANG}".split(), ["{source}"]))
print(calls.deepest(exceptions.Entry("entry", ["entry"], {stack}, False)).depth, *calls.complaints())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    depth, _, complaint = done.stdout.strip().partition(" ")
    return int(depth), complaint


@pytest.mark.parametrize("words", [100, 1000])
@pytest.mark.parametrize("program", ["direct", "pointer"])
def test_depth(tmp_path, program, words):
    depth, complaint = stackuse(tmp_path, program, words, 16384)
    assert words * 8 <= depth <= words * 8 + 100 and not complaint


def test_only_functions_of_its_type(tmp_path):
    depth, complaint = stackuse(tmp_path, "other-type", 1000, 16384)
    assert depth < 200 and not complaint


def test_recursion(tmp_path):
    once, complaint = stackuse(tmp_path, "recursion", 100, 16384)
    assert "recursion that is not bounded" in complaint and "entry" in complaint
    deeper, complaint = stackuse(tmp_path, "recursion", 100, 16384, rounds=11)
    assert deeper > once and (deeper - once) % 10 == 0 and not complaint
