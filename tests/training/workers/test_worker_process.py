"""end_with_parent: no worker outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection, wait

import torch  # noqa: F401

from aisio.training.loader import Loader
from aisio.training.workers.worker_process import end_with_parent


class Large:
    """Samples of which a batch is more than a pipe holds, and who reads them."""

    def __init__(self, workers: Connection) -> None:
        self.workers = workers

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> str:
        self.workers.send(os.getpid())
        return "x" * 100_000  # text is pickled, and travels in the pipe


def _train(workers: Connection, has_begun: Connection) -> None:
    batches = iter(Loader(Large(workers), 4, num_workers=2, prefetch_factor=4))
    for _ in range(2):  # of each worker one
        next(batches)
    has_begun.send(True)
    signal.pause()


def test_workers_that_send_a_batch_end_with_a_killed_parent() -> None:
    """They wait for a reader of their pipe, which they hold open themselves."""
    context = multiprocessing.get_context("fork")
    workers, theirs = context.Pipe(duplex=False)
    has_begun, say_so = context.Pipe(duplex=False)
    parent = context.Process(target=_train, args=(theirs, say_so))
    parent.start()
    theirs.close()
    say_so.close()
    assert has_begun.recv()
    assert parent.pid
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    pids = set()
    # Only the workers have the other end now.
    while wait([workers], timeout=60):
        try:
            pids.add(workers.recv())
        except EOFError:
            break
    else:
        raise AssertionError(f"workers {pids} are still there")
    assert len(pids) == 2


def test_a_worker_that_is_done_ends_first() -> None:
    """The thread that looks after the parent does not keep it."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=end_with_parent)
    process.start()
    process.join()
    assert process.exitcode == 0
