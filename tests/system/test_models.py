"""The models in tests/models, in their short form: each as it stands, and with one of its guards left out. All of them: make model."""
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import BUILD, ROOT


@pytest.mark.skipif(not shutil.which("spin"), reason="needs spin")
def test_models_hold_and_need_their_guards():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "model", "--build", BUILD, "--short"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=1200, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
