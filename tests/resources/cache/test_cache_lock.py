"""The lock of an entry: which process works on it, and which ones wait."""

from __future__ import annotations

import errno
import fcntl
import gc
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import aisio
from aisio.errors import AccessError
from aisio.resources.cache.cache import Cache

HOLD = """
import sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
path = Path(sys.argv[1])
with Cache(path.parent).lock(path):
    print("locked", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
path = Path(sys.argv[1])
for _ in range(50):
    with Cache(path.parent).lock(path):
        path.write_text(str(int(path.read_text()) + 1))
"""
WAIT = """
import logging, signal, sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
# Where this test runs in the background, a shell has SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
path = Path(sys.argv[1])
with Cache(path.parent).lock(path):
    print("locked")
"""
FORK = """
import os, sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
path = Path(sys.argv[1])
with Cache(path.parent).lock(path):
    if not os.fork():
        sys.stdin.read()
        os._exit(0)
print("released", flush=True)
"""
OTHER_USER = """
import os, sys
from pathlib import Path
from aisio.resources.cache.cache import Cache
if not os.getuid():
    os.setuid(54321)
path = Path(sys.argv[1])
with Cache(path.parent).lock(path, wait=False):
    print(path.with_name(path.name + ".aisio-holder").read_text() != "")
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


def open_files():
    """Return how many files this process has open."""
    gc.collect()  # what earlier tests left must not go meanwhile
    return len(list(Path("/dev/fd").iterdir()))


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


def test_without_waiting_the_error_names_the_holder(path, holder):
    """The error names the process and its host."""
    with (
        pytest.raises(BlockingIOError, match=rf"process {holder.pid} on \S+ is working on it"),
        Cache(path.parent).lock(path, wait=False),
    ):
        pass


def test_waiting_logs_the_holder(path, holder):
    """At level INFO, after a second; then it gets the lock."""
    said = threading.Event()
    texts = []

    class Listener(logging.Handler):
        def emit(self, record):
            texts.append(record.getMessage())
            said.set()

    def work():
        with Cache(path.parent).lock(path):
            texts.append("locked")

    log, listener = logging.getLogger("aisio.resources.cache.cache"), Listener()
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


def test_a_lock_is_released_after_an_error(path):
    """What fails under a lock does not keep it."""
    cache = Cache(path.parent)
    with pytest.raises(ZeroDivisionError), cache.lock(path):
        raise ZeroDivisionError
    with cache.lock(path, wait=False):
        pass
    assert [one.name for one in path.parent.iterdir()] == [path.name + ".aisio-lock"]


def test_a_lock_is_released_where_its_holders_name_cannot_be_removed(path):
    """The file with the holder's name is only for messages: its errors do not keep the lock."""
    path.with_name(path.name + ".aisio-holder").mkdir(parents=True)
    with Cache(path.parent).lock(path):
        pass
    with Cache(path.parent).lock(path, wait=False):
        pass


def test_a_lock_that_cannot_be_made_is_a_clear_error(path, tmp_path):
    """A link has the name of the lock file: it is not followed."""
    path.parent.mkdir()
    path.with_name(path.name + ".aisio-lock").symlink_to(tmp_path / "another")
    with (
        pytest.raises(AccessError, match="locking .*set AISIO_CACHE_DIR"),
        Cache(path.parent).lock(path, wait=False),
    ):
        pass
    assert not (tmp_path / "another").exists()


def test_another_users_lock_file_is_as_good_as_an_own_one():
    """In a folder that users share, the lock file of the first user works for all."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        path = Path(folder, "0" * 64 + "-x")
        with Cache(folder).lock(path):
            pass
        path.with_name(path.name + ".aisio-lock").chmod(0o444)
        path.with_name(path.name + ".aisio-holder").touch(0o444)  # as if it had been killed
        command = [sys.executable, "-c", OTHER_USER, str(path)]
        done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_waiting_can_be_interrupted(path, holder):
    """By Ctrl-C, however long it has waited."""
    command = [sys.executable, "-c", WAIT, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON
    ) as process:
        assert process.stdout is not None
        assert "waiting for" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            said, error = process.communicate(timeout=250)
        finally:
            process.kill()
    assert said == ""
    assert error.endswith("KeyboardInterrupt\n")


def test_a_fork_does_not_keep_a_released_lock(path):
    """A process that was forked meanwhile, as for a DataLoader, has the same file open."""
    command = [sys.executable, "-c", FORK, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=ENVIRON) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"released\n"
        with Cache(path.parent).lock(path, wait=False):
            pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_clear_error(path, monkeypatch, code):
    """It says what to do. There is no other lock, which a killed process would leave for ever."""

    def flock(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    before = open_files()
    with (
        pytest.raises(OSError, match="this file system has no locks .*set AISIO_CACHE_DIR"),
        Cache(path.parent).lock(path),
    ):
        pass
    assert [one.stat().st_size for one in path.parent.iterdir()] == [0]
    assert open_files() <= before


def test_nfs_wants_a_descriptor_that_could_write(path, monkeypatch):
    """It makes locks of bytes of them, for which that is the rule."""
    real = fcntl.flock

    def flock(descriptor, operation):
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and access == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    cache = Cache(path.parent)
    with cache.lock(path), pytest.raises(BlockingIOError), cache.lock(path, wait=False):
        pass
