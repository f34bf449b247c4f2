"""Objects: written once, read verified, whatever their names."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import xxhash

from aisio.client.client import Bucket, Client
from aisio.errors import (
    ConfigError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
)
from aisio.records import ByteRange, Checksum

DATA = bytes(range(256)) * 400
MIB = 1024 * 1024

NAMES = [
    "a",
    "d/e/f.tar",
    "track?name=lofi&v=1",
    "file_#@!$%^&*()_+.mp3",
    "%",
    "semicolon;",
    "%25",
    "a%20b",
    "a+b&c=d;e",
    " lead and trail ",
    "ünï/漢字 😀",
    "e\u0301 and é",
    "tab\tand blank",
    "quote\"'`<>|\\",
    "...",
    ".hidden/.file",
    "@x/#y",
    "/".join(["long" * 50] * 5),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_any_name_is_the_name_of_an_object(bucket: Bucket, name: str) -> None:
    """Put, listed, looked at, read, read in part and deleted under the very same name."""
    item = bucket.object(name)
    assert item.put(DATA).name == name
    assert [info.url for info in bucket.list()] == [str(item.url)]
    assert item.head().size_bytes == len(DATA)
    assert item.get() == DATA
    assert item.get(start=1, stop=5) == DATA[1:5]
    item.delete()
    assert list(bucket.list()) == []


def test_neighbouring_names_are_different_objects(bucket: Bucket) -> None:
    """Nothing is decoded, folded or cut on the way."""
    names = ["a b", "a%20b", "a+b", "A b", "a b?", "a b#", "a b?x", "é", "e\u0301"]
    for name in names:
        bucket.object(name).put(name.encode())
    assert sorted(info.name for info in bucket.list()) == sorted(names)
    assert [[info.name for info in bucket.list(name)] for name in names[4:]] == [
        ["a b?", "a b?x"],
        ["a b#"],
        ["a b?x"],
        ["é"],
        ["e\u0301"],
    ]
    assert [bucket.object(name).get() for name in names] == [name.encode() for name in names]


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, None), (5, 10), (102_399, None), (100_000, 999_999), (7, None)]
)
def test_a_range_is_a_slice(bucket: Bucket, start: int, stop: int | None) -> None:
    """Cut to the end, as a slice is."""
    item = bucket.object("o")
    item.put(DATA)
    assert item.get(start=start, stop=stop) == DATA[start:stop]


def test_a_range_behind_the_end_is_an_error(bucket: Bucket) -> None:
    """There is no first byte of it."""
    item = bucket.object("o")
    item.put(b"abc")
    with pytest.raises(RangeError, match=str(item.url)):
        item.get(start=3)


def test_an_empty_object_is_an_object(bucket: Bucket) -> None:
    """Put, looked at, read in every way."""
    item = bucket.object("empty")
    assert item.put(b"").size_bytes == 0
    assert item.head().size_bytes == 0
    assert item.get() == b""
    with item.open() as file, item.stream() as body:
        assert file.read() == body.read() == b""
    assert [info.size_bytes for info in bucket.list()] == [0]


def test_a_put_gives_what_head_says(bucket: Bucket) -> None:
    """Name, size, checksum and version, without another request."""
    item = bucket.object("d/o")
    put, head = item.put(DATA), item.head()
    checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(DATA))
    assert put.checksum == head.checksum == checksum
    assert (put.root, put.name, put.size_bytes) == (head.root, head.name, head.size_bytes)
    assert put.version == head.version == "1"
    assert head.mtime_s > 1_600_000_000


def test_an_overwritten_object_is_another_version(bucket: Bucket) -> None:
    """Readers that hold the first one can tell."""
    item = bucket.object("o")
    item.put(b"old")
    file = item.open()
    item.put(b"newer")
    assert item.get() == b"newer"
    assert item.head().version == "2"
    with file, pytest.raises(IntegrityError, match="the object was replaced"):
        file.read()


def test_a_missing_object_is_an_error_that_names_it(bucket: Bucket) -> None:
    """For whatever is asked of it."""
    missing = bucket.object("d/none ?")
    for ask in (missing.get, missing.head, missing.open, missing.stream, missing.delete):
        with pytest.raises(NotFoundError) as caught:
            ask()
        assert str(missing.url) in str(caught.value)
    assert missing.exists() is False
    missing.delete(missing_ok=True)


def test_the_name_of_a_folder_is_no_object(bucket: Bucket) -> None:
    """Whichever node and disk it would lie on: on some, AIStore answers 500."""
    folders = [f"folder{number}" for number in range(16)]
    for name in folders:
        bucket.object(f"{name}/x").put(b"x")
    for name in folders:
        missing = bucket.object(name)
        for ask in (missing.get, missing.head, missing.open, missing.stream):
            with pytest.raises(NotFoundError, match=name):
                ask()
        assert missing.exists() is False
        with pytest.raises(NotFoundError, match=name):
            missing.get_member("x")
    wanted = [bucket.object(name) for name in (*folders, "folder3/x")]
    got = [data for _, data in bucket.client.get_batch(wanted, missing="none")]
    assert got == [None] * len(folders) + [b"x"]


def test_an_open_object_is_a_seekable_file(bucket: Bucket) -> None:
    """As a local file of the same bytes."""
    item = bucket.object("o")
    item.put(DATA)
    local = io.BytesIO(DATA)
    with item.open() as remote:
        for offset, whence, size in (
            (100, 0, 50),
            (-7, 2, 100),
            (0, 0, 5),
            (9_000, 1, 10),
            (0, 0, -1),
        ):
            assert remote.seek(offset, whence) == local.seek(offset, whence)
            assert remote.read(size) == local.read(size)
            assert remote.tell() == local.tell()


@pytest.mark.parametrize("form", ["bytes", "bytearray", "path", "str path", "file", "pipe"])
def test_anything_binary_is_stored(bucket: Bucket, tmp_path: Path, form: str) -> None:
    """Bytes, a path, a file from its position, a pipe."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    item = bucket.object("o")
    if form == "pipe":
        read_end, write_end = os.pipe()
        os.write(write_end, DATA[:1000])
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            item.put(pipe)
        assert item.get() == DATA[:1000]
        return
    with path.open("rb") as file:
        data: Any = {"bytes": DATA, "bytearray": bytearray(DATA), "path": path}.get(form, file)
        start = file.seek(1000) if data is file else 0
        item.put(str(path) if form == "str path" else data)
    assert item.get() == DATA[0 if form == "str path" else start :]


class Counted(io.FileIO):
    """A file that knows how much was read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self.count += len(data)
        return data


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 64 MiB, no two of which are alike."""
    path = tmp_path_factory.mktemp("large") / "large"
    with path.open("wb") as file:
        for number in range(64):
            file.write(xxhash.xxh128_digest(bytes([number])) * (MIB // 16))
    return path


def test_a_large_file_is_sent_once_and_never_held(bucket: Bucket, large_file: Path) -> None:
    """64 MiB through 8 MiB of memory, each byte read from the disk once."""
    item = bucket.object("large")
    with Counted(large_file) as file:
        tracemalloc.start()
        info = item.put(file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert file.count == info.size_bytes == 64 * MIB
    assert peak < 8 * MIB


def test_a_large_object_is_read_on_without_being_held(bucket: Bucket, large_file: Path) -> None:
    """Verified at its end, through one buffer."""
    item = bucket.object("large")
    item.put(large_file)
    buffer, hasher = bytearray(MIB), xxhash.xxh64()
    tracemalloc.start()
    with item.stream() as body:
        while count := body.readinto(buffer):
            hasher.update(memoryview(buffer)[:count])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB
    assert body.info.checksum == Checksum("xxhash2", hasher.hexdigest())


def test_one_client_serves_many_threads(bucket: Bucket) -> None:
    """Each with a connection of its own."""
    names = [f"o{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: bucket.object(name).put(name.encode()), names))
        got = list(threads.map(lambda name: bucket.object(name).get(), names))
        list(threads.map(lambda _: bucket.client.close(), range(40)))
    assert got == [name.encode() for name in names]


@pytest.mark.parametrize("byte_range", [None, ByteRange(5, 4 * MIB - 5)], ids=["whole", "range"])
def test_a_forked_child_leaves_its_parents_stream_alone(
    bucket: Bucket, byte_range: ByteRange | None
) -> None:
    """It may not read it, may close it, and reads what it opens itself."""
    item, data = bucket.object("o"), os.urandom(4 * MIB)
    item.put(data)
    with item.stream(byte_range) as body:
        begun = body.read(1000)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                with pytest.raises(StorageError, match="opened before the fork"):
                    body.read(1000)
                body.close()
                status = 0 if item.get() == data else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        expected = data if byte_range is None else data[byte_range.start : byte_range.stop]
        assert begun + body.read() == expected


def test_text_is_written_and_read(bucket: Bucket) -> None:
    """With any line ends and encoding; verified."""
    item = bucket.object("text")
    lines = [f"{number} größer\n" for number in range(50_000)]
    with item.open("w") as file:
        file.writelines(lines)
        assert not item.exists()
    assert file.info == item.head()
    with item.open("r") as read:
        assert list(read) == lines
    with item.open("w", encoding="utf-16", newline="\r\n") as file:
        file.write("a\nb\n")
    assert item.get().decode("utf-16") == "a\r\nb\r\n"
    with item.open("r", encoding="utf-16") as read:
        assert read.read() == "a\nb\n"


def test_text_of_a_block_that_raises_is_not_stored(bucket: Bucket) -> None:
    """The old object stays, also behind parts that were sent."""
    item = bucket.object("text")
    item.put(b"old")

    def write() -> None:
        with item.open("w") as file:
            for _ in range(40):
                file.write("x" * MIB)
            raise KeyError("stop")

    with pytest.raises(KeyError):
        write()
    assert item.get() == b"old"
    assert len(list(bucket)) == 1
    with item.open("w", allow_empty=True):
        pass
    assert item.get() == b""


def test_a_bucket_is_iterated_over_and_looked_into(bucket: Bucket) -> None:
    """It yields objects, in the order of their names."""
    for name in ("b", "a", "c/d"):
        bucket.object(name).put(name.encode())
    assert [item.get() for item in bucket] == [b"a", b"b", b"c/d"]
    assert "c/d" in bucket
    assert "c" not in bucket
    assert bucket.object("a") in bucket


def test_a_client_is_closed_after_its_block(bucket: Bucket) -> None:
    """Another client of the cluster is not."""
    bucket.object("a").put(b"a")
    with Client.from_settings(bucket.client.settings) as client:
        item = client.bucket(bucket.name).object("a")
        assert item.get() == b"a"
    with pytest.raises(ConfigError, match="was closed at the end of its `with` block"):
        item.get()
    assert bucket.object("a").get() == b"a"


def test_the_last_change_is_no_access(bucket: Bucket) -> None:
    """A read changes the time that `head` has, and not that of the last change."""
    item = bucket.object("a")
    before = time.time()
    item.put(DATA)
    modified = item.modified_s()
    assert before - 2 < modified < time.time() + 2
    item.get()
    assert item.modified_s() == modified


def test_an_object_and_a_folder_of_one_name(bucket: Bucket) -> None:
    """The object comes too late below another one; a folder may be on another disk or node."""
    bucket.object("a").put(DATA)
    for number in range(20):
        bucket.object(f"d{number}/b").put(DATA)
    for names in ([f"d{number}" for number in range(20)], [f"a/{number}" for number in range(20)]):
        objects = [bucket.object(name) for name in names]
        with pytest.raises(ConflictError):
            [item.put(DATA) for item in objects]
