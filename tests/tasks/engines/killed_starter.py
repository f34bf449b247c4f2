"""Starts a job, and is killed meanwhile: `python -m tests.tasks.engines.killed_starter ...`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aisio.tasks.engines.base import Engine, Job
from aisio.tasks.engines.local import LocalEngine
from tests.tasks.engines.paused import Paused
from tests.tasks.engines.programs import python_job

COUNTS = """
import os
os.write(os.open("../runs", os.O_WRONLY | os.O_CREAT | os.O_APPEND), b".")
"""
"""Leaves a dot for each time that it runs."""


def counting_job(folder: Path) -> Job:
    """Return a job that counts how often it runs."""
    return python_job(folder, COUNTS)


def runs(folder: Path) -> int:
    """Return how often it has run."""
    file = folder / "runs"
    return file.stat().st_size if file.exists() else 0


def start_and_kill(folder: Path, engine: str, module: str) -> Paused:
    """Have a process start the job, and kill it when a program that it starts has begun.

    Args:
        folder: Where the folders of the job are.
        engine: Name of the engine.
        module: The program, which has its input, and goes on when the caller says so.
    """
    paused = Paused(folder / "paused", module)
    command = [sys.executable, "-m", "tests.tasks.engines.killed_starter", engine, str(folder)]
    with subprocess.Popen(command, env=paused.environment()) as starter:
        try:
            paused.wait()
        finally:
            starter.kill()
    return paused


def _engine(name: str) -> Engine:
    if name == "local":
        return LocalEngine()
    from aisio.tasks.engines.slurm import SlurmEngine

    return SlurmEngine("local")


if __name__ == "__main__":
    _engine(sys.argv[1]).start(counting_job(Path(sys.argv[2])))
