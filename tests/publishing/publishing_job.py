"""A job that publishes: it says so, waits for a line on stdin, and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from aisio import publishing, stats

ROOT = Path(publishing.__file__).parents[2]


def started_jobs(folder: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Yield a function that starts a job which publishes in a folder, and waits until it has."""
    jobs = []

    def start() -> subprocess.Popen[str]:
        job = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "AISIO_TOP": str(folder), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        jobs.append(job)
        assert job.stdout is not None
        assert job.stdout.readline() == "published\n"
        return job

    yield start
    for job in jobs:
        job.kill()
        job.communicate()


def main() -> None:
    """Count something, publish it, and wait."""
    live = publishing.current()
    live.place(3, 8)
    live.samples = 7
    stats.thread_counters().requests += 5
    publishing.publish_now()
    print("published", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
