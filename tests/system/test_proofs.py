"""The proofs in tests/proofs, and one of their defects: those by CBMC where it has been fetched, which make proofs does. All of it: make proofs."""
import os
import subprocess
import sys

from tests.conftest import BUILD, ROOT


def test_proofs_hold_and_notice_a_defect():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "prove", "--build", BUILD, "--short"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=600, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
