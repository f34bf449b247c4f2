"""Store: what its subclasses need not write, on a store of one object."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest

from aisio.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    TruncatedError,
    UnavailableError,
)
from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy
from aisio.stores import Store
from aisio.transport.body import Body
from aisio.transport.payload import PutData
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl

URL = ObjectUrl.parse("memory://b/o")
DATA = b"0123456789"


class OneObject(Store):
    """A store whose reads are scripted: each is the bytes that come, or an error on the way."""

    def __init__(self, *reads: bytes | StorageError, versions: tuple[str, ...] = ("v",)) -> None:
        self.reads = list(reads)
        self.versions = list(versions)
        self.ranges: list[ByteRange | None] = []

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(attempts=3, first_wait_s=0)

    def _info(self) -> ObjectInfo:
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        return ObjectInfo(URL.root, URL.name, len(DATA), version=version)

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        yield self._info()

    def head(self, url: ObjectUrl) -> ObjectInfo:
        return self._info()

    def get(
        self, url: ObjectUrl, byte_range: ByteRange | None = None, *, etl_name: str | None = None
    ) -> Body:
        self.ranges.append(byte_range)
        script = self.reads.pop(0) if self.reads else DATA
        if isinstance(script, NotFoundError):
            raise script
        start = byte_range.start if byte_range else 0
        size = len(DATA) - start
        if isinstance(script, bytes):
            return Body(io.BytesIO(script[start:]), self._info(), size)
        return Body(Breaking(script), self._info(), size)

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        raise NotImplementedError

    def writer(self, url: ObjectUrl, options: WriteOptions | None = None) -> ObjectWriter:
        raise NotImplementedError

    def delete(self, url: ObjectUrl, *, missing_ok: bool = False) -> None:
        raise NotImplementedError


class Breaking(io.BytesIO):
    """A response that raises an error in place of its bytes."""

    def __init__(self, error: StorageError) -> None:
        super().__init__()
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        raise self.error


@pytest.mark.parametrize("read", [Store.read, lambda store, url: store.read_with_info(url)[1]])
@pytest.mark.parametrize(
    "failure", [DATA[:4], UnavailableError("reset"), StoreTimeoutError("silence")], ids=str
)
def test_a_read_that_fails_on_the_way_is_tried_again(
    read: Callable[[Store, ObjectUrl], bytes], failure: bytes | StorageError
) -> None:
    """Cut, reset, silent: from the start, as often as the policy allows."""
    store = OneObject(failure, failure)
    assert read(store, URL) == DATA
    assert store.ranges == [None] * 3


def test_a_read_gives_up_after_the_tries_of_the_policy() -> None:
    """The error says how many there were."""
    store = OneObject(*[DATA[:4]] * 9)
    with pytest.raises(TruncatedError, match="gave up after 3 tries"):
        store.read(URL)
    assert len(store.ranges) == 3


@pytest.mark.parametrize("error", [ConflictError("changed"), NotFoundError("gone")])
def test_another_error_is_not_tried_again(error: StorageError) -> None:
    """Nor is one that comes when the object is opened: the store itself retries that."""
    store = OneObject(error)
    with pytest.raises(type(error)):
        store.read(URL)
    assert len(store.ranges) == 1


def test_an_open_object_is_read_by_ranges_of_one_version() -> None:
    """Never by those of two."""
    with OneObject().open(URL) as file:
        file.seek(4)
        assert file.read(3) == DATA[4:7]
    with OneObject(versions=("v", "w")).open(URL) as file:
        file.seek(4)
        with pytest.raises(IntegrityError, match="was replaced while it was open"):
            file.read(3)


def test_versions_are_compared_by_what_both_responses_say() -> None:
    """A store that knows more overrides this."""
    first = ObjectInfo(URL.root, URL.name, 10, Checksum("md5", "0" * 32), "1")
    store = OneObject()
    assert store.is_same(URL, first, first)
    assert not store.is_same(URL, first, ObjectInfo(URL.root, URL.name, 10, version="2"))


def test_by_default_no_request_is_sent_ahead() -> None:
    """Then a reader of many objects uses threads."""
    assert OneObject().send_ahead(URL) is None


@pytest.mark.parametrize(
    ("version", "copied_bytes", "message"),
    [
        ("1", len(DATA) - 1, "its copy .* has another size or checksum"),
        ("2", len(DATA), "it was replaced after it was copied to"),
    ],
)
def test_only_what_was_copied_is_deleted(version: str, copied_bytes: int, message: str) -> None:
    """The copy has its bytes, and no other program has replaced it since."""
    before = ObjectInfo(URL.root, URL.name, len(DATA), version="1")
    copy = ObjectInfo(URL.root, "copy", copied_bytes, version="7")
    with pytest.raises(IntegrityError, match=f"move {URL}: {message}"):
        OneObject(versions=(version,)).delete_copied(URL, before, copy)
