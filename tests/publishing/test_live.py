"""Live: what this process counts, also of what goes on; and who publishes it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from aisio import publishing
from aisio.publishing import Live
from aisio.publishing.processes import published_processes

MODULE = "import aisio.publishing, threading, sys, os\n"


def test_an_iteration_counts_while_it_goes_on():
    """Its samples come from a function, so that they cost it nothing."""
    live, count = Live(), 0
    with live.iteration(lambda: (count, 1)):
        count = 5
        assert live.totals()["samples"] == 5
        count = 6
    assert (live.samples, live.skipped, live.errors) == (6, 1, 0)
    assert live.totals() == {
        "samples": 6,
        "skipped": 1,
        "errors": 0,
        "batches": 0,
        "batch_wait_s": 0.0,
    }


def test_an_error_counts_and_what_was_given_before():
    """To end an iteration early is no error."""
    live = Live()
    with pytest.raises(KeyError), live.iteration(lambda: (2, 0)):
        raise KeyError
    with pytest.raises(GeneratorExit), live.iteration(lambda: (1, 0)):
        raise GeneratorExit
    assert (live.samples, live.errors) == (3, 1)


def test_a_wait_for_a_batch_ends_with_it():
    """While it goes on it has a length."""
    live = Live()
    assert live.waits_for_batch_s() is None
    live.ask(0.0)
    assert (live.waits_for_batch_s() or 0.0) > 0
    live.give(1.5)
    assert live.waits_for_batch_s() is None
    assert (live.batches, live.batch_wait_s) == (1, 1.5)


def test_nothing_is_published_unless_it_is_asked_for(tmp_path):
    """No thread, no file: AISIO_TOP says it, and a word for "no" as well."""
    program = MODULE + "aisio.publishing.publish_now(); print(threading.active_count())"
    for value in ("", "0", "false"):
        environ = {**os.environ, "AISIO_TOP": value, "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
        )
        assert done.stdout == "1\n"
    assert list(tmp_path.iterdir()) == []


def child(number: int, folder, ready, end) -> None:
    """Publish as a worker until the test has looked."""
    live = publishing.current()
    live.worker = number
    live.samples = 10 + number
    publishing.publish_now()
    ready.release()
    end.wait(60)


def parent(method: Any, folder, connection) -> None:
    """Publish, start two workers, and say what is to be seen."""
    live = publishing.current()
    live.place(1, 2)
    live.samples = 1
    publishing.publish_now()
    context = multiprocessing.get_context(method)
    ready, end = context.Semaphore(0), context.Event()
    workers = [context.Process(target=child, args=(n, folder, ready, end)) for n in range(2)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire(timeout=60)
    is_on = [thread.name for thread in threading.enumerate() if thread.name == "aisio-top"]
    connection.send((os.getpid(), is_on, published_processes(folder)))
    end.set()
    for worker in workers:
        worker.join()
    connection.send(published_processes(folder))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_publish_for_themselves_and_start_from_zero(tmp_path, monkeypatch, method):
    """However they are started; their parent goes on, and they take their files with them."""
    monkeypatch.setenv("AISIO_TOP", str(tmp_path))
    receiver, sender = multiprocessing.Pipe()
    job = multiprocessing.get_context("spawn").Process(
        target=parent, args=(method, tmp_path, sender)
    )
    job.start()
    pid, is_on, found = receiver.recv()
    after = receiver.recv()
    job.join()
    assert is_on == ["aisio-top"]
    trainer = next(one for one in found if one.worker is None)
    assert (trainer.pid, trainer.rank, trainer.total("samples")) == (pid, 1, 1)
    workers = [one for one in found if one.worker is not None]
    assert [(one.parent, one.worker, one.total("samples")) for one in workers] == [
        (pid, 0, 10),
        (pid, 1, 11),
    ]
    assert [one.pid for one in after] == [pid]
    assert list(tmp_path.iterdir()) == []
