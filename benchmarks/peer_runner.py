"""Runs the jobs of `training_job.py`, each in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from training_job import Job

JOB = Path(__file__).with_name("training_job.py")
TIMEOUT_S = 300

Result: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Entrant:
    """A reader, and what it reads.

    Attributes:
        name: What the tables call it.
        reader: Key of `training_job.READERS`.
        is_served: Whether the tar shards are on the server, and not in a folder.
        has_state: Whether it can go on from a state.
        is_peer: Whether it runs under the peers' own Python.
    """

    name: str
    reader: str
    is_served: bool = False
    has_state: bool = True
    is_peer: bool = False


class JobError(Exception):
    """A job failed: why, in one line."""


class Runner:
    """Runs jobs, each in a process of its own.

    Args:
        peers_python: The Python that has the peers.
        endpoint: The server.
        cache: Folder for the indexes of aisio.
    """

    def __init__(self, peers_python: Path, endpoint: str, cache: Path) -> None:
        self._peers_python = peers_python
        self._environment = os.environ | {
            "AIS_ENDPOINT": endpoint,
            "AISIO_CACHE_DIR": str(cache),
            "LITDATA_DISABLE_VERSION_CHECK": "1",
        }

    def run(self, entrant: Entrant, *jobs: Job) -> list[Result]:
        """Run jobs at once, each as a rank, and return their results.

        Raises:
            JobError: One failed.
        """
        python = str(self._peers_python if entrant.is_peer else sys.executable)
        port = _free_port()
        with ExitStack() as stack:
            started = []
            for rank, job in enumerate(jobs):
                process = subprocess.Popen(
                    [python, "-W", "ignore", str(JOB), json.dumps(asdict(job))],
                    env=self._environment | _launcher(rank, len(jobs), port),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                started.append(stack.enter_context(process))
            try:
                ended = [process.communicate(timeout=TIMEOUT_S) for process in started]
            except subprocess.TimeoutExpired:
                raise JobError(f"not done after {TIMEOUT_S} s") from None
            finally:
                for process in started:
                    process.kill()
        for process, (_, errors) in zip(started, ended, strict=True):
            if process.returncode:
                raise JobError((errors.strip().splitlines() or ["no message"])[-1][:200])
        return [json.loads(output.splitlines()[-1]) for output, _ in ended]


def _launcher(rank: int, ranks: int, port: int) -> dict[str, str]:
    """Return what a launcher sets: litdata reads GLOBAL_RANK, the others RANK."""
    if ranks == 1:
        return {}
    return {
        **dict.fromkeys(("RANK", "GLOBAL_RANK", "LOCAL_RANK"), str(rank)),
        **dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(ranks)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
