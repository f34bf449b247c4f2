"""Publisher: a file for this user alone, gone with its process."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading

import pytest

from aisio.publishing.publisher import FILE, Publisher


def state() -> dict[str, object]:
    """Return what a process says of itself."""
    return {"rank": 1, "blocked_on": "https://host/a?X-Amz-Signature=secret", "blocked_s": 2.0}


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "aisio-top"]


@pytest.fixture
def publisher(tmp_path):
    """Return a publisher that writes when it is told to, an hour apart otherwise."""
    counts = iter(range(100))
    publisher = Publisher(tmp_path, lambda: {"samples": next(counts)}, state, interval_s=3600)
    publisher.start()
    yield publisher
    publisher.close()


def test_only_this_user_may_read_what_is_written(publisher, tmp_path):
    """Without credentials, and complete at any moment."""
    publisher.write()
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    found = json.loads((folder / FILE).read_bytes())
    assert (found["pid"], found["rank"], found["blocked_s"]) == (os.getpid(), 1, 2.0)
    assert "secret" not in (folder / FILE).read_text()


def test_growth_is_that_of_the_last_seconds(publisher, tmp_path):
    """Of six records at most; at first that since the beginning."""
    publisher.pause()  # its thread writes a first record by itself
    (folder,) = tmp_path.iterdir()
    grown = []
    for _ in range(8):
        publisher.write()
        found = json.loads((folder / FILE).read_bytes())
        grown.append(found["totals"]["samples"] - found["before"]["samples"])
    assert grown == [1, 2, 3, 4, 5, 5, 5, 5]


def test_a_fork_sees_no_thread_and_the_folder_stays(publisher, tmp_path):
    """Python warns of threads beside a fork."""
    publisher.pause()
    assert not _threads()
    publisher.resume()
    assert len(list(tmp_path.iterdir())) == 1
    assert len(_threads()) == 1


def test_forks_of_several_threads_see_no_thread_and_leave_one(publisher):
    """Each of two that fork at once comes back; what is closed does not go on."""
    publisher.pause()
    publisher.pause()
    publisher.resume()
    assert not _threads()
    publisher.resume()
    publisher.resume()
    assert len(_threads()) == 1
    publisher.pause()
    publisher.close()
    publisher.resume()
    assert not _threads()


def test_many_threads_that_fork_leave_one_thread(publisher):
    """A thread of the publisher that nobody knows would write until the process ends."""

    def fork() -> None:
        for _ in range(50):
            publisher.pause()
            publisher.resume()

    threads = [threading.Thread(target=fork) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_threads()) == 1


def test_what_is_closed_leaves_nothing(publisher, tmp_path):
    """Neither a folder nor a thread; to write then does nothing."""
    publisher.close()
    publisher.close()
    publisher.write()
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "aisio-top"]


def test_a_folder_that_is_not_there_is_a_warning(tmp_path, caplog):
    """The job goes on."""
    with caplog.at_level(logging.WARNING):
        publisher = Publisher(tmp_path / "none", dict, state)
        publisher.start()
        publisher.write()
        publisher.close()
    assert "not shown in aisio top" in caplog.text


def test_a_folder_that_was_removed_ends_the_publishing(tmp_path, caplog):
    """With a warning: nobody makes it again."""
    publisher = Publisher(tmp_path, dict, state, interval_s=0.001)
    with caplog.at_level(logging.WARNING):
        publisher.start()
        (thread,) = [one for one in threading.enumerate() if one.name == "aisio-top"]
        (folder,) = tmp_path.iterdir()
        while folder.exists():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            try:
                folder.rmdir()
            except OSError:
                continue
        thread.join(60)
    assert not thread.is_alive()
    assert "no longer shown in aisio top" in caplog.text
    publisher.close()


def test_a_file_that_cannot_be_written_now_is_written_later(tmp_path, caplog):
    """Shared memory may be full for a while; one warning says so."""
    publisher = Publisher(tmp_path, dict, state, interval_s=0.001)
    with caplog.at_level(logging.WARNING):
        publisher.start()
        (folder,) = tmp_path.iterdir()
        while not (folder / FILE).is_dir():
            try:
                (folder / FILE).mkdir()
            except FileExistsError:
                (folder / FILE).unlink(missing_ok=True)
        while not caplog.records:
            assert _threads()
        (folder / FILE).rmdir()
        while not (folder / FILE).is_file():
            assert _threads()
    publisher.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"not shown in aisio top: {tmp_path}: Is a directory"
    ]
