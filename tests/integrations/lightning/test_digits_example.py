"""The example that trains digits under Lightning, is killed, and goes on."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_example_runs(root: Path, tmp_path: Path) -> None:
    """It ends with status 1 if the training does not go on, or does not learn."""
    for package in ("lightning", "sklearn", "PIL", "aiohttp"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    done = subprocess.run(
        [sys.executable, "-m", "lightning_digits", str(tmp_path / "new")],
        cwd=root / "examples",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines.index("killed") < lines.index("begins at step 40, in epoch 1")
