"""The terminal's size: whoever is in the foreground is told of each change, whoever else asks for it meanwhile."""
import pexpect

from tests.conftest import BUILD, CORRAL, KERNEL, SLOW

CHANGES = 40
LIMIT = 200 * SLOW  # seconds: the askers never rest, and a busy host gives the one that is told little time


def test_every_change_is_told(programs, tmp_path):
    child = pexpect.spawn(str(CORRAL), ["run", "--kernel", str(KERNEL), "--build", str(BUILD), "--log", str(tmp_path / "kernel.log"),
                                        "--timeout", str(2 * LIMIT), "--harts", "4", "--", str(programs / "window")],
                          timeout=LIMIT, encoding="utf-8", dimensions=(50, 80), echo=False)
    child.expect_exact("asking")
    for i in range(CHANGES):
        rows, columns = 20 + i % 2, 100 + i
        child.setwinsize(rows, columns)
        child.expect_exact(f"now {rows} by {columns}.")
    child.setwinsize(7, 7)
    child.expect_exact("now 7 by 7.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
