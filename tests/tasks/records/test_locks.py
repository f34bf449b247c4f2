"""Locks in the home folder."""

from __future__ import annotations

import threading

import pytest

from aisio.tasks.records.locks import locked


@pytest.mark.parametrize("name", ["../../a", "/a", "", "a\0b", "\udcff", "x" * 300])
def test_any_text_is_a_name(tmp_path, name) -> None:
    """No file appears anywhere else."""
    with locked(tmp_path / "home", name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert len(list((tmp_path / "home" / "locks").iterdir())) == 1


def test_one_waits_for_the_other(tmp_path) -> None:
    """Another name is free meanwhile."""
    order = []

    def second() -> None:
        with locked(tmp_path, "a"):
            order.append("second")

    with locked(tmp_path, "a"):
        thread = threading.Thread(target=second)
        thread.start()
        with locked(tmp_path, "b"):
            order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_one_that_does_not_wait_is_told(tmp_path) -> None:
    """At once; afterwards the lock is free."""
    with locked(tmp_path, "a"):
        with pytest.raises(BlockingIOError), locked(tmp_path, "a", wait=False):
            pass
        with locked(tmp_path, "b", wait=False):
            pass
    with locked(tmp_path, "a", wait=False):
        pass
