"""Locks on files: exclusive or shared, between all that open the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aisio.file_locks import acquire, release


@contextmanager
def locked(file: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock."""
    descriptor = acquire(file, shared=shared)
    try:
        yield
    finally:
        release(descriptor)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a lock file that does not exist yet."""
    return tmp_path / "lock"


@pytest.mark.parametrize(
    ("first", "second", "is_free"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_only_shared_locks_are_held_together(
    file: Path, first: bool, second: bool, is_free: bool
) -> None:
    """By two openings of the file, even in one thread."""
    with locked(file, shared=first):
        if is_free:
            with locked(file, shared=second):
                pass
        else:
            with pytest.raises(BlockingIOError), locked(file, shared=second):
                pass
    with locked(file):
        pass
    assert file.stat().st_size == 0


def test_a_waiting_thread_reports_it_once_and_gets_the_lock(file: Path) -> None:
    """After a second; a lock that is free at once is not reported."""
    reports: list[str] = []
    release(acquire(file, on_wait=lambda: reports.append("free")))
    reported = threading.Event()

    def wait() -> None:
        release(acquire(file, on_wait=reported.set))
        reports.append("got it")

    with locked(file):
        thread = threading.Thread(target=wait)
        thread.start()
        assert reported.wait(30)
        assert reports == []
    thread.join()
    assert reports == ["got it"]


def test_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    """Another user may have put it there."""
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"):
        acquire(file)
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_is_not_given_leaves_no_open_file(file: Path) -> None:
    """A process that polls would run out of descriptors."""
    with locked(file):
        before = len(list(Path("/dev/fd").iterdir()))
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                acquire(file)
        assert len(list(Path("/dev/fd").iterdir())) == before


def test_programs_do_not_inherit_a_lock(file: Path) -> None:
    """They would hold it until they end."""
    descriptor = acquire(file)
    assert not os.get_inheritable(descriptor)
    release(descriptor)
