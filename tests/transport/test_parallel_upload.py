"""ParallelUpload: several parts at once, within a bound, and no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

import pytest

from aisio.errors import StorageError
from aisio.records import ObjectInfo
from aisio.transport.parallel_upload import ParallelUpload, pieces_of
from aisio.transport.payload import CHUNK_BYTES
from aisio.transport.writer import ObjectWriter, WriteOptions


class Target:
    """Keeps the parts; a part waits in `send` until it may pass."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hashed = b""
        self.parts: dict[int, bytes] = {}
        self.waiting: set[int] = set()
        self.most_waiting = 0
        self.may_pass = threading.Event()
        self.changed = threading.Condition()
        self.broken = 0
        self.abort_error: StorageError | None = None

    def begin(self) -> None:
        self.calls.append("begin")

    def hash(self, part: memoryview) -> None:
        self.hashed += part

    def send(self, number: int, offset: int, part: memoryview, stopped: Callable[[], bool]) -> None:
        with self.changed:
            self.waiting.add(number)
            self.most_waiting = max(self.most_waiting, len(self.waiting))
            self.changed.notify_all()
        self.may_pass.wait()
        with self.changed:
            self.waiting.remove(number)
        if number == self.broken:
            raise StorageError(f"part {number} is refused")
        assert offset == (number - 1) * 4
        self.parts[number] = bytes(part)

    def complete(self, count: int) -> ObjectInfo:
        self.calls.append(f"complete {count}")
        return ObjectInfo("b", "o", len(self.hashed))

    def abort(self) -> None:
        self.calls.append("abort")
        if self.abort_error is not None:
            raise self.abort_error

    def wait_for(self, count: int) -> None:
        """Wait until so many parts are being sent."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.waiting) == count)


def writer_to(target: Target, concurrency: int = 3) -> ObjectWriter:
    """Return a writer whose parts have four bytes."""
    options = WriteOptions(part_bytes=4, concurrency=concurrency)

    def put(data: memoryview) -> ObjectInfo:
        raise AssertionError(bytes(data))

    return ObjectWriter("b/o", put, ParallelUpload(target, options), options)


def upload_threads() -> list[threading.Thread]:
    """Return the threads that send parts."""
    return [one for one in threading.enumerate() if one.name.startswith("aisio-upload")]


def test_parts_are_sent_at_once_while_the_caller_writes() -> None:
    """As many as allowed; the parts are joined in their order."""
    target, data = Target(), bytes(range(41))
    with writer_to(target) as file:
        file.write(data[:13])
        target.wait_for(3)  # the caller is back while three parts wait
        target.may_pass.set()
        file.write(data[13:])
    assert b"".join(part for _, part in sorted(target.parts.items())) == target.hashed == data
    assert target.calls == ["begin", "complete 11"]
    assert target.most_waiting == 3
    assert upload_threads() == []


def test_a_writer_waits_when_too_many_parts_are_under_way() -> None:
    """So that memory is bounded: parts that are sent, wait to be sent, and the one being filled."""
    target = Target()
    file = writer_to(target, concurrency=2)
    thread = threading.Thread(target=file.write, args=(bytes(100),))
    thread.start()
    target.wait_for(2)
    # Two are sent, at most one more waits; the caller fills none beyond that.
    assert thread.is_alive()
    assert len(target.hashed) <= 4 * 3
    target.may_pass.set()
    thread.join()
    file.close()
    assert len(target.parts) == 25


def test_a_part_that_fails_ends_the_upload() -> None:
    """Its error is raised by a later write or by close; nothing is completed."""
    target = Target()
    target.broken = 2
    target.may_pass.set()
    file = writer_to(target)
    with pytest.raises(StorageError, match="part 2 is refused"):
        file.write(bytes(8000))
    with pytest.raises(StorageError, match="nothing was stored, because a write failed: part 2"):
        file.close()
    assert set(target.calls) == {"begin", "abort"}
    assert upload_threads() == []


def test_a_last_part_that_fails_is_told_by_close() -> None:
    """The caller had no write left to learn it from."""
    target = Target()
    target.broken = 2
    target.may_pass.set()
    file = writer_to(target)
    file.write(bytes(8))
    with pytest.raises(StorageError, match="part 2 is refused"):
        file.close()
    assert target.calls == ["begin", "abort"]


def test_an_abort_waits_for_parts_and_sends_no_more() -> None:
    """So that none arrives after the upload was aborted."""
    target = Target()
    file = writer_to(target, concurrency=1)
    file.write(bytes(8))
    target.wait_for(1)
    thread = threading.Thread(target=file.abort)
    thread.start()
    target.may_pass.set()
    thread.join()
    assert (list(target.parts), target.calls) == ([1], ["begin", "abort"])
    assert upload_threads() == []


def test_an_abort_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The error of a `with` block is the one that the caller gets."""
    target = Target()
    target.may_pass.set()
    target.abort_error = StorageError("DELETE b/o (upload u1): no answer")
    file = writer_to(target)
    file.write(bytes(9))
    file.abort()
    assert "could not be aborted, and its parts remain: DELETE b/o (upload u1)" in caplog.text


def test_what_was_half_begun_is_aborted() -> None:
    """The store may have begun already, as when the user interrupts the program then."""

    class Interrupted(Target):
        def begin(self) -> None:
            super().begin()
            raise KeyboardInterrupt

    target = Interrupted()
    upload = ParallelUpload(target, WriteOptions(4, 1))
    with pytest.raises(KeyboardInterrupt):
        upload.send(memoryview(bytearray(4)), 4)
    upload.abort()
    assert target.calls == ["begin", "abort"]


def test_a_part_that_nobody_wants_is_not_sent_on() -> None:
    """The request that carries it ends at its next piece."""
    part, asked = memoryview(bytes(range(256)) * 8192), count()
    pieces = pieces_of(part, lambda: next(asked) == 1, "ais://b/o")
    assert next(pieces) == part[:CHUNK_BYTES]
    with pytest.raises(StorageError, match="PUT ais://b/o: the upload was aborted"):
        next(pieces)
    assert b"".join(pieces_of(part, lambda: False, "")) == part
