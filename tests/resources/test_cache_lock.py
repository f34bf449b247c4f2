"""Who works on an entry of the cache, and who waits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import aisio
from aisio.errors import AccessError
from aisio.resources.cache import Cache

HOLD = """
import sys
from pathlib import Path
from aisio.resources.cache import Cache
path = Path(sys.argv[1])
with Cache(path.parent).lock(path):
    print("locked", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from aisio.resources.cache import Cache
path = Path(sys.argv[1])
for _ in range(50):
    with Cache(path.parent).lock(path):
        path.write_text(str(int(path.read_text()) + 1))
"""
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(aisio.__file__).parents[1])}


@pytest.fixture
def path(tmp_path):
    """Return the path of an entry."""
    return tmp_path / "cache" / ("0" * 64 + "-x")


@pytest.fixture
def holder(path):
    """Start a process that holds the entry's lock until its stdin ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=ENVIRON) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_processes_take_turns(path):
    """A number that four processes count up loses none."""
    path.parent.mkdir()
    path.write_text("0")
    command = [sys.executable, "-c", COUNT, str(path)]
    processes = [subprocess.Popen(command, env=ENVIRON) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert path.read_text() == "200"


def test_threads_take_turns(path):
    """The same within a process, also where they share a Cache."""
    cache, counts = Cache(path.parent), [0]

    def count():
        for _ in range(50):
            with cache.lock(path):
                before = counts[0]
                path.parent.stat()  # lets others run
                counts[0] = before + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [200]


def test_a_killed_process_holds_nothing(path, holder):
    """Its lock file stays, and does not block."""
    holder.kill()
    holder.wait()
    with Cache(path.parent).lock(path, wait=False):
        assert path.with_name(path.name + ".aisio-lock").exists()


def test_who_does_not_wait_is_told_for_whom_he_would(path, holder):
    """The error names the process and its host."""
    with (
        pytest.raises(BlockingIOError, match=rf"process {holder.pid} on \S+ is working on it"),
        Cache(path.parent).lock(path, wait=False),
    ):
        pass


def test_who_waits_says_for_whom(path, holder):
    """At level INFO, after a second; and then it goes on."""
    said = threading.Event()
    texts = []

    class Listener(logging.Handler):
        def emit(self, record):
            texts.append(record.getMessage())
            said.set()

    def work():
        with Cache(path.parent).lock(path):
            texts.append("locked")

    log, listener = logging.getLogger("aisio.resources.cache"), Listener()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(listener)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert said.wait(30)
        assert holder.stdin is not None
        holder.stdin.close()
    finally:
        thread.join()
        log.removeHandler(listener)
        log.setLevel(level)
    assert f"waiting for process {holder.pid} on" in texts[0]
    assert texts[1:] == ["locked"]


def test_a_lock_is_given_back_after_an_error(path):
    """What fails under a lock does not keep it."""
    cache = Cache(path.parent)
    with pytest.raises(ZeroDivisionError), cache.lock(path):
        raise ZeroDivisionError
    with cache.lock(path, wait=False):
        pass
    assert [one.name for one in path.parent.iterdir()] == [path.name + ".aisio-lock"]


def test_a_lock_is_given_back_where_its_holders_name_cannot_be_removed(path):
    """Who holds it is told on the side: what is wrong with that does not keep the lock."""
    path.with_name(path.name + ".aisio-holder").mkdir(parents=True)
    with Cache(path.parent).lock(path):
        pass
    with Cache(path.parent).lock(path, wait=False):
        pass


def test_a_lock_that_cannot_be_made_is_a_clear_error(path):
    """A folder stands where the lock file should: the error says what was done and what helps."""
    path.with_name(path.name + ".aisio-lock").mkdir(parents=True)
    with (
        pytest.raises(AccessError, match="locking .*set AISIO_CACHE_DIR"),
        Cache(path.parent).lock(path, wait=False),
    ):
        pass
