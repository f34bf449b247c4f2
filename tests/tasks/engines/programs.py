"""Programs that tests run as tasks, and what waits for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aisio.tasks.engines.base import Engine, Job, Status

WAITS = "import sys, time\nprint('started', flush=True)\nwhile True: time.sleep(60)\n"
"""Says that it has started, and ends when it is ended."""


def python_job(folder: Path, code: str, *arguments: str, **changes: Any) -> Job:
    """Return a job that runs Python code; its folders are below `folder`."""
    (folder / "code").mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "task_id": "TRAI1",
        "argv": (sys.executable, "-c", code, *arguments),
        "cwd": folder / "code",
        "folder": folder / "task",
    }
    return Job(**{**values, **changes})


def finish(engine: Engine, handle: str) -> tuple[Status, list[str]]:
    """Wait until a task has finished; return its status, and what it printed."""
    lines = list(engine.follow(handle))
    return engine.poll(handle), lines


def wait_for(lines: Iterator[str], *expected: str) -> list[str]:
    """Read lines until each of these has come; return what was read."""
    missing, read = set(expected), []
    for line in lines:
        read.append(line)
        missing.discard(line)
        if not missing:
            return read
    raise AssertionError(f"{sorted(missing)} never came: {read}")
