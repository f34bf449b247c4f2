"""StoreContract: the tests that every Store must pass, to be subclassed for a store.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self): ...
        @pytest.fixture
        def root(self): ...
        def put_raw(self, url, data): ...
        def get_raw(self, url): ...

`root` is an empty bucket or folder to write to. `put_raw` and `get_raw` access the bytes without
the store, so that the store is not tested by itself.
"""

from __future__ import annotations

import io
import pickle
import threading
from pathlib import Path

import pytest

from aisio.errors import ConfigError, NotFoundError, RangeError, UrlError
from aisio.records import ByteRange
from aisio.stores.base import Store
from aisio.transport.writer import ObjectWriter, WriteOptions
from aisio.urls import ObjectUrl

ODD_NAMES = (
    "a b",
    "p%25q",
    "what?x=1&y",
    "hash#tag",
    "plus+",
    "ü/é",
    "deep/er/est",
    "dot.tar.gz",
    "%",
    "日本",
)

PART_BYTES = 5 * 1024 * 1024
"""The smallest parts that all stores take."""

PARTS = WriteOptions(part_bytes=PART_BYTES, concurrency=2)


class StoreContract:
    """The tests; a subclass defines `store`, `root`, `put_raw` and `get_raw`."""

    @pytest.fixture
    def store(self) -> Store:
        """Return the store under test."""
        raise NotImplementedError

    @pytest.fixture
    def root(self) -> ObjectUrl:
        """Return an empty bucket, or a prefix ending in "/", that the store can write below."""
        raise NotImplementedError

    def put_raw(self, url: ObjectUrl, data: bytes) -> None:
        """Store an object without the store."""
        raise NotImplementedError

    def get_raw(self, url: ObjectUrl) -> bytes:
        """Read an object without the store."""
        raise NotImplementedError

    def test_put_writes_the_bytes_and_tells_their_size(self, store: Store, root: ObjectUrl) -> None:
        """Any client can read the bytes; the returned info describes them."""
        info = store.put(root.join("a.bin"), b"hello")
        assert (info.url, info.size_bytes) == (str(root.join("a.bin")), 5)
        assert self.get_raw(root.join("a.bin")) == b"hello"

    def test_put_takes_paths_and_files(self, store: Store, root: ObjectUrl, tmp_path: Path) -> None:
        """Of a path the whole file is stored, of a binary file the bytes after its position."""
        path = tmp_path / "data"
        path.write_bytes(b"0123456789")
        file = io.BytesIO(b"0123456789")
        file.seek(4)
        store.put(root.join("path"), path)
        store.put(root.join("text-path"), str(path))
        store.put(root.join("file"), file)
        assert (
            self.get_raw(root.join("path")) == self.get_raw(root.join("text-path")) == b"0123456789"
        )
        assert self.get_raw(root.join("file")) == b"456789"

    def test_put_replaces(self, store: Store, root: ObjectUrl) -> None:
        """The second put replaces all bytes, also if it is shorter."""
        store.put(root.join("a"), b"long before")
        store.put(root.join("a"), b"now")
        assert store.read(root.join("a")) == b"now"

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_stand_as_they_are(self, store: Store, root: ObjectUrl, name: str) -> None:
        """Put, get and list neither decode nor cut a name."""
        url = root.join(name)
        store.put(url, name.encode())
        assert store.read(url) == name.encode()
        assert [info.url for info in store.list(root)] == [str(url)]

    def test_copy_and_delete_many(self, store: Store, root: ObjectUrl) -> None:
        """A copy has the bytes; names that do not exist are told, all others are deleted."""
        names = [root.join(name).name for name in ("a", "b%25", "deep/c")]
        store.put(root.join("a"), b"data")
        for name in names[1:]:
            assert store.copy(root.join("a"), root.with_name(name)).size_bytes == 4
            assert self.get_raw(root.with_name(name)) == b"data"
        with pytest.raises(ConfigError, match="itself"):
            store.copy(root.join("a"), root.join("a"))
        with pytest.raises(NotFoundError):
            store.copy(root.join("no"), root.join("a"))
        no = root.join("no").name
        with pytest.raises(NotFoundError, match=f"a name does not exist: {no}; .*: 1$"):
            store.delete_many(root, [names[0], no, names[0]])
        assert [info.name for info in store.list(root)] == names[1:]
        assert store.delete_many(root, [*names, no], missing_ok=True).missing == (names[0], no)
        assert store.delete_many(root, []).count == 0
        assert list(store.list(root)) == []

    def test_a_writer_stores_what_was_written(self, store: Store, root: ObjectUrl) -> None:
        """In any pieces, of any size: in parts, where it is large; nobody sees it before."""
        large = bytes(range(251)) * (2 * PART_BYTES // 251 + 99)
        for name, data in (("large", large), ("part", large[:PART_BYTES]), ("small", b"abc")):
            url = root.join(name)
            with store.writer(url, PARTS) as file:
                assert file.write(data[:1]) == 1
                assert file.write(memoryview(data)[1:]) == len(data) - 1
                assert (file.write(b""), file.tell(), file.info) == (0, len(data), None)
                with pytest.raises(NotFoundError):
                    store.head(url)
            assert file.info is not None
            assert (file.info.url, file.info.size_bytes) == (str(url), len(data))
            assert self.get_raw(url) == data

    @pytest.mark.parametrize("size_bytes", [3, 3 * 5 * 1024 * 1024])
    def test_a_writer_that_fails_stores_nothing(
        self, store: Store, root: ObjectUrl, size_bytes: int
    ) -> None:
        """The old object stays if the block raises, and if the writer is dropped or aborted."""
        url = root.join("a")
        self.put_raw(url, b"before")
        with pytest.raises(KeyError, match="stop"):
            _write_and_raise(store.writer(url, PARTS), size_bytes)
        dropped = store.writer(url, PARTS)
        dropped.write(bytes(size_bytes))
        with pytest.warns(ResourceWarning, match="dropped without being closed: nothing"):
            del dropped
        aborted = store.writer(url, PARTS)
        aborted.write(bytes(size_bytes))
        aborted.abort()
        aborted.close()
        assert [info.url for info in store.list(root)] == [str(url)]
        assert self.get_raw(url) == b"before"

    def test_a_writer_replaces(self, store: Store, root: ObjectUrl) -> None:
        """The old object stays until the writer is closed."""
        url = root.join("a")
        self.put_raw(url, b"before")
        with store.writer(url, PARTS) as file:
            file.write(b"x" * (PART_BYTES + 1))
            assert store.read(url) == b"before"
        assert self.get_raw(url) == b"x" * (PART_BYTES + 1)

    def test_an_empty_object_is_written_only_where_that_is_said(
        self, store: Store, root: ObjectUrl
    ) -> None:
        """Nothing written is an error."""
        url = root.join("a")
        with pytest.raises(ConfigError, match="nothing was written, so nothing was stored"):
            store.writer(url).close()
        assert list(store.list(root)) == []
        store.writer(url, WriteOptions(allow_empty=True)).close()
        assert [(info.url, info.size_bytes) for info in store.list(root)] == [(str(url), 0)]

    def test_get_streams_and_reads(self, store: Store, root: ObjectUrl) -> None:
        """Reads of a body return the bytes piece by piece, then b""."""
        self.put_raw(root.join("a"), b"0123456789")
        with store.get(root.join("a")) as body:
            assert (body.read(4), body.read(), body.read(), body.read(1)) == (
                b"0123",
                b"456789",
                b"",
                b"",
            )
        assert body.info.size_bytes == body.size_bytes == 10

    def test_an_answer_and_the_bytes_are_of_one_object(self, store: Store, root: ObjectUrl) -> None:
        """The info of a read describes the bytes that were read, and matches the listing."""
        url = root.join("a")
        store.put(url, b"first")
        listed = next(store.list(root))
        info, data = store.read_with_info(url)
        assert (info.url, info.size_bytes, data) == (str(url), 5, b"first")
        assert store.is_same(url, listed, info)

    def test_get_of_nothing(self, store: Store, root: ObjectUrl) -> None:
        """An empty object can be read and has a size."""
        store.put(root.join("empty"), b"")
        assert store.read(root.join("empty")) == b""
        assert store.head(root.join("empty")).size_bytes == 0

    @pytest.mark.parametrize(
        ("byte_range", "expected"),
        [
            (ByteRange(0, 1), b"0"),
            (ByteRange(3, 7), b"3456"),
            (ByteRange(8, 99), b"89"),
            (ByteRange(9), b"9"),
            (ByteRange(0), b"0123456789"),
        ],
    )
    def test_get_a_range(
        self, store: Store, root: ObjectUrl, byte_range: ByteRange, expected: bytes
    ) -> None:
        """A range ends at the end of the object at the latest; `info` is of the whole object."""
        self.put_raw(root.join("a"), b"0123456789")
        with store.get(root.join("a"), byte_range) as body:
            assert body.readall() == expected
            assert (body.size_bytes, body.info.size_bytes) == (len(expected), 10)

    def test_range_outside(self, store: Store, root: ObjectUrl) -> None:
        """A range that starts at or after the end is an error."""
        self.put_raw(root.join("a"), b"0123456789")
        with pytest.raises(RangeError, match="a"):
            store.get(root.join("a"), ByteRange(10, 12))

    def test_head(self, store: Store, root: ObjectUrl) -> None:
        """Head returns the size."""
        self.put_raw(root.join("a"), b"0123456789")
        assert store.head(root.join("a")).size_bytes == 10

    def test_missing_objects(self, store: Store, root: ObjectUrl) -> None:
        """Every method raises NotFoundError for a missing object, and names the object."""
        for attempt in (store.head, store.get, store.read, store.delete):
            with pytest.raises(NotFoundError, match="missing"):
                attempt(root.join("missing"))
        store.delete(root.join("missing"), missing_ok=True)

    def test_delete(self, store: Store, root: ObjectUrl) -> None:
        """A deleted object can be neither read nor listed."""
        self.put_raw(root.join("a"), b"x")
        store.delete(root.join("a"))
        with pytest.raises(NotFoundError):
            store.head(root.join("a"))
        assert list(store.list(root)) == []

    def test_list_is_sorted_bytewise(self, store: Store, root: ObjectUrl) -> None:
        """Names are sorted by the bytes of the whole name: "-" before "/" before "0"."""
        names = ["a", "b/x", "b-x", "b0", "b/y/z", "é", "z", "B"]
        for name in names:
            self.put_raw(root.join(name), name.encode())
        listed = [info.url for info in store.list(root)]
        assert listed == [str(root.join(name)) for name in sorted(names, key=str.encode)]
        assert [info.size_bytes for info in store.list(root)][:2] == [1, 1]

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("tr", ["train/a", "train/b", "tram"]),
            ("train/", ["train/a", "train/b"]),
            ("train/b", ["train/b"]),
        ],
    )
    def test_list_by_plain_prefix(
        self, store: Store, root: ObjectUrl, prefix: str, expected: list[str]
    ) -> None:
        """A prefix is plain text, not a folder."""
        for name in ("train/a", "train/b", "tram", "val/a"):
            self.put_raw(root.join(name), b"x")
        assert [info.url for info in store.list(root.join(prefix))] == [
            str(root.join(name)) for name in expected
        ]

    def test_list_after(self, store: Store, root: ObjectUrl) -> None:
        """`start_after` skips that name and all before it."""
        names = ["a", "b/1", "b/2", "c"]
        for name in names:
            self.put_raw(root.join(name), b"x")
        for number, name in enumerate(names):
            listed = store.list(root, start_after=root.join(name).name)
            assert [info.url for info in listed] == [
                str(root.join(later)) for later in names[number + 1 :]
            ]

    def test_no_object_can_have_this_name(self, store: Store, root: ObjectUrl) -> None:
        """A name that ends in "/" is an error before any request."""
        with pytest.raises(UrlError, match="names no object"):
            store.put(root.join("folder/"), b"x")

    def test_pickles(self, store: Store, root: ObjectUrl) -> None:
        """A store that was used can be sent to a worker."""
        store.put(root.join("a"), b"x")
        assert pickle.loads(pickle.dumps(store)).read(root.join("a")) == b"x"

    def test_threads_share_it(self, store: Store, root: ObjectUrl) -> None:
        """Each thread that reads through one store gets the bytes of its own object."""
        for number in range(8):
            self.put_raw(root.join(str(number)), bytes([number]) * 1000)
        got: dict[int, set[bytes]] = {}

        def read(number: int) -> None:
            got[number] = {store.read(root.join(str(number))) for _ in range(20)}

        threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == {number: {bytes([number]) * 1000} for number in range(8)}


def _write_and_raise(file: ObjectWriter, size_bytes: int) -> None:
    with file:
        file.write(bytes(size_bytes))
        raise KeyError("stop")
