"""The protocol's Promela model: spin tries every interleaving, and must find what each guard is there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "docs" / "model" / "check.py"


@pytest.mark.skipif(
    not shutil.which("spin"), reason="spin is not installed (on Debian: apt-get install spin)"
)
@pytest.mark.skipif(not shutil.which("cc"), reason="spin's verifiers need a C compiler")
def test_no_interleaving_breaks_a_promise_and_every_guard_is_needed() -> None:
    done = subprocess.run([sys.executable, str(CHECK), "--short"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
