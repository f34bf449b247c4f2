"""Bytes that are filled in place, and what a failure leaves of the views of their memory."""

from __future__ import annotations

import gc

import pytest

from aisio.errors import StorageError
from aisio.transport.fresh_bytes import forget_frames, fresh_bytes
from tests.http_server import Reply
from tests.scripted_cluster import nodes

SIZE = 300_000
DATA = bytes(range(250)) * (SIZE // 250)
TAGS = {"Etag": '"1"', "Ais-Version": "1"}


def views_of_memory() -> int:
    """Count the views of a BytesIO that are alive anywhere, also in garbage."""
    views = [one for one in gc.get_objects() if type(one) is memoryview]
    return sum("BytesIO" in type(_owner(view)).__name__ for view in views)


def _owner(view: memoryview) -> object:
    try:
        return view.obj
    except ValueError:  # it was released
        return None


def test_what_is_filled_is_returned() -> None:
    """All of the memory, or a prefix of it."""

    def fill(view: memoryview) -> int:
        view[:3] = b"abc"
        return 3

    assert (fresh_bytes(3, fill), fresh_bytes(5, fill)) == (b"abc", b"abc")


def test_a_failure_leaves_no_view() -> None:
    """Though the error, which somebody keeps, came through frames that hold slices."""

    class Reader:
        kept: Exception | None = None

        def read(self, view: memoryview) -> int:
            try:
                return self.receive(view[1:])
            except OSError as error:
                self.kept = error
                raise ValueError("broken") from error

        def receive(self, view: memoryview) -> int:
            raise OSError(len(view))

    with pytest.raises(ValueError, match="broken"):
        fresh_bytes(9, Reader().read)
    assert views_of_memory() == 0


def test_an_error_that_is_made_good_leaves_no_view() -> None:
    """Nor does what it was raised from."""
    kept: list[Exception] = []

    def receive(view: memoryview) -> int:
        raise OSError(len(view))

    def fill(view: memoryview) -> int:
        try:
            return receive(view[1:])
        except OSError as error:
            forget_frames(error)
            kept.append(error)
            return 9

    assert fresh_bytes(9, fill) == bytes(9)
    assert kept
    assert views_of_memory() == 0


@pytest.mark.parametrize("cuts", [1, 2])
@pytest.mark.parametrize("cut_at", [0, 1, 70_000, SIZE - 1])
def test_a_read_that_goes_on_leaves_no_view(cuts: int, cut_at: int) -> None:
    """The garbage collector of Python 3.12 would crash at one, that of 3.13 tell of an error."""
    gc.collect()
    gc.disable()
    try:
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
        assert views_of_memory() == 0
    finally:
        gc.enable()


def test_a_read_that_fails_leaves_no_view() -> None:
    """While the caller keeps the error."""
    gc.collect()
    gc.disable()
    try:
        cut = Reply(200, DATA[:70_000], {**TAGS, "Content-Length": str(SIZE)})
        with nodes(*[cut] * 2) as found, pytest.raises(StorageError) as caught:
            found.item.get()
        assert caught.value.__traceback__ is not None
        assert views_of_memory() == 0
    finally:
        gc.enable()
