"""A Python program that stops when it begins, so that others can be killed meanwhile."""

from __future__ import annotations

import os
import select
from pathlib import Path

_AT_START = """
import os, signal, sys
if os.environ["PAUSED_MODULE"] in sys.orig_argv:
    signal.alarm(600)  # ends it if its test has failed
    with open(os.environ["PAUSED_FOLDER"] + "/began", "w") as began:
        began.write(str(os.getpid()))
    with open(os.environ["PAUSED_FOLDER"] + "/go") as go:
        go.read()
    signal.alarm(0)
"""
_ROOT = Path(__file__).parents[3]
_TIMEOUT_S = 120


class Paused:
    """Stops the first program that runs a module, before its first line.

    Args:
        folder: An empty folder.
        module: The module, as in `python -m module`.
    """

    def __init__(self, folder: Path, module: str) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_AT_START)
        for name in ("began", "go"):
            os.mkfifo(folder / name)
        self._folder = folder
        self._module = module
        self._pid = 0

    def environment(self) -> dict[str, str]:
        """Return the environment of the program that starts it."""
        path = os.pathsep.join((str(self._folder), str(_ROOT)))
        mine = {"PAUSED_FOLDER": str(self._folder), "PAUSED_MODULE": self._module}
        return {**os.environ, **mine, "PYTHONPATH": path}

    def wait(self) -> None:
        """Wait until it has begun."""
        began = os.open(self._folder / "began", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([began], [], [], _TIMEOUT_S)[0], f"{self._module} never began"
            self._pid = int(os.read(began, 100))
        finally:
            os.close(began)

    def run_to_end(self) -> None:
        """Have it go on, and wait until it has ended."""
        process = os.pidfd_open(self._pid)
        try:
            (self._folder / "go").write_text("")
            assert select.select([process], [], [], _TIMEOUT_S)[0], f"{self._module} never ended"
        finally:
            os.close(process)
