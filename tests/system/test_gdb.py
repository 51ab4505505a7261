"""scripts/debug and its gdb commands, on a machine that stands in a system call of a program whose memory is known."""
import re
import subprocess

import pytest

from tests.conftest import BUILD, CORRAL

SCRIPT = """\
python
try:
    gdb.execute("corral harts")
except gdb.error as error:
    print("before the MMU:", error)
end
hbreak sys_unknown
continue
echo ==== harts\\n
corral harts
echo ==== space\\n
corral space
echo ==== shared\\n
corral walk 0x1000000123
corral frame $corral_pa
echo ==== own\\n
corral walk 0x1000001000
corral frame $corral_pa
echo ==== untouched\\n
corral walk 0x1000002000
echo ==== none\\n
corral walk 0x2000000000
echo ==== wrong\\n
python
for line in ("corral frame $corral_pa", "corral frame 0x10", "corral frame", "corral walk nonsense", "corral walk 0x4000000000", "corral walk 0 77", "corral nonsense"):
    try:
        gdb.execute(line)
    except gdb.error as error:
        print(line + ":", error)
end
corral
echo ==== kernel\\n
corral walk &spaces
corral frame $corral_pa
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What gdb printed, by part."""
    script = tmp_path_factory.mktemp("gdb") / "script"
    script.write_text(SCRIPT)
    done = subprocess.run([str(CORRAL.parent / "debug"), "--build", str(BUILD), "--harts", "2", "--mem", "256M", "--append",
                           "fork=tables", "--batch", str(script), "--", str(BUILD / "user" / "tests" / "debugged")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done
    parts = re.split(r"^==== (\w+)\n", done.stdout, flags=re.MULTILINE)
    assert len(parts) > 2, done
    return {"begin": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def test_begin(seen):
    assert "before the MMU: this hart has no page tables yet" in seen["begin"]
    assert "hit Breakpoint 1, sys_unknown" in seen["begin"]


def test_harts(seen):
    lines = seen["harts"].splitlines()
    assert len(lines) == 3 and "debugged" in seen["harts"] and "<sys_unknown" in seen["harts"], lines
    assert [line.split()[0] for line in lines[1:]] == ["0", "1"]


def test_spaces(seen):
    lines = seen["space"].splitlines()
    assert len(lines) == 3, lines  # parent and child
    assert sum(line.split()[-1] == "1" for line in lines[1:]) == 1  # the first process runs in one of them
    assert all(int(line.split()[1], 16) % 4096 == 0 for line in lines[1:])


def test_walk(seen):
    shared, own = seen["shared"].splitlines(), seen["own"].splitlines()
    assert [line.split()[1] for line in shared[:3]] == ["2", "1", "0"]
    assert shared[0].endswith("leads to a table, private") and shared[2].endswith("a page, copy-on-write")
    assert own[2].endswith("a page, writable") and "MAYWRITE" in own[2]
    assert shared[3].startswith("physical 0x") and shared[3].endswith("123")
    assert "FRAME_ANON, count 2," in shared[4] and "FRAME_ANON, count 1," in own[4]
    assert seen["untouched"].splitlines()[-1].endswith("reserved: untouched")
    assert seen["none"].splitlines()[-1].endswith("nothing is mapped")
    assert "physical 0x8" in seen["kernel"] and "FRAME_RESERVED" in seen["kernel"]


def test_what_makes_no_sense_is_told(seen):
    lines = seen["wrong"].splitlines()
    assert lines[:7] == ["corral frame $corral_pa: the last corral walk came to no page", "corral frame 0x10: 0x10 is not in memory: there is no frame",
                         "corral frame: corral frame PA", 'corral walk nonsense: nonsense: No symbol "nonsense" in current context.',
                         "corral walk 0x4000000000: 0x4000000000 is no address: its bits from 38 up are not all the same",
                         "corral walk 0 77: there is no space 77; see corral space", "corral nonsense: corral nonsense: there are harts, space, walk and frame"]
    assert {"corral frame", "corral harts", "corral space", "corral walk"} <= {line.split(" -- ")[0] for line in lines[7:]}
