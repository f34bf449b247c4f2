"""The process that watches one task on this machine; test_local.py has what it does."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("text", [b"", b'{"folder": '])
def test_a_job_that_is_cut_starts_nothing(tmp_path, text):
    """Its starter was killed while it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "aisio.tasks.engines.supervisor"],
        input=text,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert b"JSONDecodeError" in done.stderr
    assert list(tmp_path.iterdir()) == []
