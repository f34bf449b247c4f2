"""ListingFile: records of several processes, each whole, and locks that end with their process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from mmap import mmap
from typing import Any

import torch  # noqa: F401 - this file is for environments that have it

from aisio.training.listing.listing_file import MIN_MAPPED_BYTES, ListingFile, RecordKind

fork: Any = multiprocessing.get_context("fork")


def payloads(file: ListingFile, start: int = 0) -> list[tuple[RecordKind, int, bytes]]:
    """Return the records, with up to 30 bytes of the payloads."""
    records, _ = file.read(start)
    return [(one.kind, one.part, one.data[one.start : one.start + 30]) for one in records]


def test_records_are_read_in_order_from_anywhere() -> None:
    """A reader goes on behind what it has read."""
    file = ListingFile()
    assert file.read() == ([], 8)
    file.append(RecordKind.BLOCK, 2, b"rows")
    _, end = file.read()
    file.append(RecordKind.END, 70_000)
    assert payloads(file) == [(RecordKind.BLOCK, 2, b"rows"), (RecordKind.END, 70_000, b"")]
    assert payloads(file, end) == [(RecordKind.END, 70_000, b"")]


def test_what_is_large_is_mapped() -> None:
    """From any byte on: all processes then have the same pages."""
    file = ListingFile()
    file.append(RecordKind.BLOCK, 0, b"small" * 1000)
    _, end = file.read()
    file.append(RecordKind.BLOCK, 1, b"large" * MIN_MAPPED_BYTES)
    for start in (0, end):
        records, _ = file.read(start)
        last = records[-1]
        assert isinstance(last.data, mmap)
        assert last.data[last.start : last.start + 10] == b"largelarge"


def _append(file: ListingFile, part: int) -> None:
    for _ in range(100):
        file.append(RecordKind.BLOCK, part, b"%d" % part * 1000)


def test_records_of_several_processes_do_not_mix() -> None:
    """Each appends whole ones."""
    file = ListingFile()
    processes = [fork.Process(target=_append, args=(file, part)) for part in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    records, _ = file.read()
    assert len(records) == 200
    for one in records:
        assert one.data[one.start : one.start + 1000] == b"%d" % one.part * 1000


def _lock(file: ListingFile, pipe: Any) -> None:
    pipe.send([file.try_lock(0), file.try_lock(1)])
    pipe.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_lock_ends_with_its_process() -> None:
    """Also where that is killed; and each part has its own."""
    file = ListingFile()
    assert file.try_lock(1)
    mine, theirs = fork.Pipe()
    process = fork.Process(target=_lock, args=(file, theirs))
    process.start()
    assert mine.recv() == [True, False]
    assert not file.try_lock(0)
    mine.send(None)
    process.join()
    assert file.try_lock(0)
