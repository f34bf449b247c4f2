"""Bytes that a read fills in place, and views of them that outlive it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.errors import StorageError
from aisio.transport.filled_bytes import filled_bytes
from tests.http_server import Reply
from tests.scripted_cluster import nodes

SIZE = 300_000
DATA = bytes(range(250)) * (SIZE // 250)
TAGS = {"Etag": '"1"', "Ais-Version": "1"}


def write(data: bytes) -> Callable[[memoryview], int]:
    """Return a function that fills a view with some data."""

    def fill(view: memoryview) -> int:
        view[: len(data)] = data
        return len(data)

    return fill


@pytest.mark.parametrize("size", [*range(10), 255, 256, 65_535, 65_536, 1_000_001])
def test_what_is_filled_is_returned(size: int) -> None:
    """All of the memory, or a prefix of it."""
    data = (DATA * 4)[:size]
    assert filled_bytes(size, write(data)) == data
    assert filled_bytes(size + 3, write(data)) == data
    assert filled_bytes(size + 70_000, write(data)) == data


def test_the_view_is_as_long_as_the_bytes() -> None:
    """Nothing behind them can be written to."""
    with pytest.raises(ValueError, match="different structures"):
        filled_bytes(5, write(b"123456"))


def test_no_two_share_their_memory() -> None:
    """Python has one object for each single byte; it must not be written to."""
    made = [filled_bytes(1, write(bytes([value]))) for value in range(256)]
    assert made == [bytes([value]) for value in range(256)]


@pytest.mark.parametrize("size", [sys.maxsize - 100, sys.maxsize, sys.maxsize + 1, 1 << 70])
def test_too_many_are_an_error(size: int) -> None:
    """What a server claims is not believed blindly."""
    with pytest.raises(StorageError, match="there is no memory for the"):
        filled_bytes(size, write(b""))


def test_a_view_keeps_the_memory() -> None:
    """Whoever still holds one, such as the traceback of an error, may use it."""
    kept: list[memoryview] = []

    def fail(view: memoryview) -> int:
        kept.append(view[1:])
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        filled_bytes(SIZE, fail)
    gc.collect()
    others = [bytes(SIZE) for _ in range(20)]
    kept[0][:] = DATA[1:]
    assert kept[0] == DATA[1:]
    assert others == [bytes(SIZE)] * 20


def test_views_in_a_cycle_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As errors leave them: their tracebacks hold the frames that hold the errors."""
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    class Reader:
        kept: Exception | None = None

        def read(self, view: memoryview) -> int:
            try:
                return self.receive(view[1:])
            except OSError as error:
                self.kept = error
                return 9

        def receive(self, view: memoryview) -> int:
            raise OSError(len(view))

    for _ in range(50):
        assert len(filled_bytes(9, Reader().read)) == 9
    gc.collect()
    assert unraisable == []


@pytest.mark.parametrize("cuts", [1, 2])
@pytest.mark.parametrize("cut_at", [0, 1, 70_000, SIZE - 1])
def test_a_read_that_goes_on_is_collected(cuts: int, cut_at: int) -> None:
    """The errors that it made good hold views."""
    cut = Reply(200, DATA[:cut_at], {**TAGS, "Content-Length": str(SIZE)})
    again = [
        Reply(
            206,
            DATA[cut_at:] if number == cuts - 1 else b"",
            {
                **TAGS,
                "Content-Length": str(SIZE - cut_at),
                "Content-Range": f"bytes {cut_at}-{SIZE - 1}/{SIZE}",
            },
        )
        for number in range(cuts)
    ]
    with nodes(cut, *again, attempts=5) as found:
        assert found.item.get() == DATA
    gc.collect()


def test_a_read_that_fails_is_collected() -> None:
    """While the caller keeps the error, and afterwards."""
    cut = Reply(200, DATA[:70_000], {**TAGS, "Content-Length": str(SIZE)})
    with nodes(*[cut] * 2) as found, pytest.raises(StorageError) as caught:
        found.item.get()
    gc.collect()
    assert caught.value.__traceback__ is not None
    del caught
    gc.collect()


def test_aisio_takes_no_buffer_of_a_bytesio(root: Path) -> None:
    """A slice of one in a reference cycle ends the process on Python 3.12."""
    users = [path.name for path in root.glob("aisio/**/*.py") if ".getbuffer(" in path.read_text()]
    assert users == []


@pytest.mark.parametrize("count", [-1, 6])
def test_a_wrong_count_is_an_error(count: int) -> None:
    """What was not filled is old memory."""
    with pytest.raises(StorageError, match=f"{count} bytes cannot have been read into 5"):
        filled_bytes(5, lambda view: count)


def test_the_view_ends_with_the_call() -> None:
    """Whoever kept it cannot change the bytes that were returned."""
    kept: list[memoryview] = []

    def fill(view: memoryview) -> int:
        kept.append(view)
        return write(b"12345")(view)

    data = filled_bytes(5, fill)
    with pytest.raises(ValueError, match="released"):
        kept[0][0] = 0
    assert data == b"12345"
