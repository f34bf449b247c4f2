"""StreamedUpload: hands parts to a thread, which ends however the upload does."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from aisio.errors import StorageError
from aisio.records import ObjectInfo
from aisio.stores.direct.streamed_upload import StreamedUpload


class Store:
    """Stores what comes; fails at a part, or after all."""

    def __init__(self, broken_at: int = -1, broken_after: bool = False) -> None:
        self.parts: list[bytes] = []
        self.broken_at = broken_at
        self.broken_after = broken_after
        self.error: BaseException | None = None

    def __call__(self, parts: Iterator[memoryview]) -> ObjectInfo:
        try:
            for part in parts:
                if len(self.parts) == self.broken_at:
                    raise StorageError("no space")
                self.parts.append(bytes(part))
        except BaseException as error:
            self.error = error
            raise
        if self.broken_after:
            raise StorageError("not the bytes that were sent")
        return ObjectInfo("b", "o", sum(map(len, self.parts)))


def send(upload: StreamedUpload, *parts: bytes) -> None:
    """Send parts."""
    for part in parts:
        assert len(upload.send(memoryview(bytearray(part)), len(part))) == len(part)


def no_thread_is_left() -> bool:
    """Tell whether all threads that send parts have ended."""
    return not [one for one in threading.enumerate() if one.name == "aisio-upload"]


def test_parts_come_in_their_order() -> None:
    """The function's result is that of the upload."""
    store = Store()
    upload = StreamedUpload(store)
    send(upload, b"ab", b"cd", b"e")
    assert upload.finish() == ObjectInfo("b", "o", 5)
    assert store.parts == [b"ab", b"cd", b"e"]
    assert no_thread_is_left()


def test_an_abort_is_an_error_of_the_iterator() -> None:
    """So that obstore aborts; twice does no harm."""
    store = Store()
    upload = StreamedUpload(store)
    send(upload, b"ab", b"cd")
    upload.abort()
    upload.abort()
    assert store.error is not None
    assert no_thread_is_left()


@pytest.mark.parametrize("store", [Store(broken_at=1), Store(broken_after=True)])
def test_an_error_is_raised_by_a_later_call(store: Store) -> None:
    """No call waits for room that nobody makes."""
    upload = StreamedUpload(store)

    def write() -> None:
        send(upload, *[b"ab"] * (100 if store.broken_at >= 0 else 3))
        upload.finish()

    with pytest.raises(StorageError, match="no space|not the bytes"):
        write()
    upload.abort()
    assert no_thread_is_left()


def test_an_upload_without_parts_is_aborted_by_nothing() -> None:
    """No thread was started."""
    StreamedUpload(Store()).abort()
    assert no_thread_is_left()
