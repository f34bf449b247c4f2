"""Runs a test file as a program of its own, which starts one process for each rank."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any


def run_program(file: str, *arguments: str, command: tuple[str, ...] = ()) -> Any:
    """Run a test file as a program and return what its last line of JSON says.

    Args:
        file: The file; its `__main__` prints the result.
        arguments: For the program.
        command: What starts it; by default this Python.
    """
    outside = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environ = {name: value for name, value in os.environ.items() if name not in outside}
    done = subprocess.run(
        [sys.executable, *command, file, *arguments],
        env={**environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def run_ranks(
    job: Callable[[int], Any], ranks: int, environ: Mapping[str, str] | None = None
) -> list[Any]:
    """Call a job with each rank, in a forked process with the variables of torchrun.

    Args:
        job: Returns what can be pickled.
        ranks: Number of ranks.
        environ: Further variables.
    """
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results: dict[int, Any] = {}
    processes = []
    pipes: dict[Any, int] = {}
    for rank in range(ranks):
        mine, theirs = context.Pipe()
        variables = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(ranks),
            "LOCAL_WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            **(environ or {}),
        }
        process = context.Process(target=_run_rank, args=(job, rank, variables, theirs))
        process.start()
        theirs.close()
        processes.append(process)
        pipes[mine] = rank
    try:
        while pipes:
            ready = wait(list(pipes))
            for pipe in [one for one in pipes if one in ready]:
                error, results[pipes.pop(pipe)] = pipe.recv()
                assert not error, error
    except BaseException:
        for process in processes:  # others may wait for the rank that failed
            process.kill()
        raise
    for process in processes:
        process.join()
    return [results[rank] for rank in range(ranks)]


def _run_rank(job: Callable[[int], Any], rank: int, environ: Mapping[str, str], pipe: Any) -> None:
    os.environ.update(environ)
    warnings.simplefilter("ignore")
    try:
        pipe.send(("", job(rank)))
    except BaseException:
        pipe.send((traceback.format_exc(), None))
