"""Memory exhausted, a few rounds: exactly those end whom the rule names (scripts/torture_lib/exhaust.py); make exhaust makes 1,000."""
import os
import secrets

from tests.conftest import BUILD
from torture_lib import exhaust

SEED = int(os.environ.get("CORRAL_SEED") or secrets.randbelow(1 << 31))


def test_some_rounds():
    said = []
    assert exhaust.run(str(BUILD), 4, 4, SEED, said.append), (SEED, said)


def test_the_wrong_one():
    """What it is for: somebody was ended whom the log does not name, named who was not ended, or another than a hog."""
    log = "out of memory: hogs (process 5) wanted\nout of memory: hogs (process 6) wanted\naudit: ok"
    output = "ended 5\nended 6\nround 0: 2 ended\n" + exhaust.LIVES
    assert exhaust.verdict(True, 1, 0, output, log) == ([], 1, 2)
    assert exhaust.verdict(True, 1, 0, output + "\nended 7\n", log)[0]
    assert exhaust.verdict(True, 1, 0, output, log + "\nout of memory: hogs (process 6) wanted")[0]
    assert exhaust.verdict(True, 1, 0, output, log + "\nout of memory: sh (process 2) wanted")[0]
    assert exhaust.verdict(True, 1, 0, output.replace(exhaust.LIVES, ""), log)[0]
    assert exhaust.verdict(True, 2, 0, output, log)[0] and exhaust.verdict(True, 1, 1, output, log)[0]
    assert exhaust.verdict(True, 1, 0, output, log.replace("audit: ok", ""))[0]
