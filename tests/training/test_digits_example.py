"""The demo: it trains, is killed, goes on, and counts what it was trained on."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401


def _needs(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")


def test_it_runs(root: Path, tmp_path: Path) -> None:
    """It ends with status 1 if it does not learn, or a digit came twice or not at all."""
    _needs("sklearn", "matplotlib", "aiohttp", "PIL")
    done = subprocess.run(
        [sys.executable, "-m", "digits", str(tmp_path / "demo")],
        cwd=root / "examples",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "== killed by SIGKILL at batch " in done.stdout
    assert "== goes on behind batch " in done.stdout
    assert "each of the 1,438 exactly once" in done.stdout
    assert (tmp_path / "demo" / "run.png").stat().st_size > 10_000


def test_what_did_not_come_once_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's check can fail: on what is missing, comes twice, or is not of the data."""
    monkeypatch.syspath_prepend(root / "examples")
    watch: Any = importlib.import_module("digits.watch")
    run = watch.Run(steps=[watch.Step(0, 1, 0.5, list(keys), 0.0, 1.0) for keys in ("ab", "bx")])
    assert run.wrong_keys(0, ["a", "b", "c"]) == ["b", "c", "x"]
    assert run.wrong_keys(1, ["a"]) == ["a"]
    assert run.rate(0) == 2.0
