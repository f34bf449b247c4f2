"""Payloads: any data as chunks of a known size, from its start as often as needed."""

from __future__ import annotations

import errno
import io
import mmap
import os
import tempfile
import threading
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from aisio.errors import ConfigError, IntegrityError, StorageError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum
from aisio.transport.payload import CHUNK_BYTES, HashedPayload, Payload

DATA = bytes(range(256)) * (CHUNK_BYTES // 128)


def read(payload: Payload) -> bytes:
    """Join what the payload yields."""
    return b"".join(payload.chunks())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        bytearray(b"abc"),
        memoryview(b"abc"),
        memoryview(b"abcd").cast("H"),
        memoryview(array("i")),
        memoryview(b"abcdef")[::2],
        memoryview(b"abcdef")[::-1],
    ],
)
def test_bytes_are_stored_as_they_are(data: Any) -> None:
    """Whatever holds bytes, more than once."""
    with Payload(data) as payload:
        assert payload.size_bytes == len(bytes(data))
        assert read(payload) == read(payload) == bytes(data)


@pytest.mark.parametrize("form", [str, Path])
def test_a_path_is_read_in_chunks(tmp_path: Path, form: type) -> None:
    """A str is a path, as everywhere in Python; no chunk holds the whole file."""
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)
    with Payload(form(file)) as payload:
        assert payload.size_bytes == len(DATA)
        assert max(map(len, payload.chunks())) <= CHUNK_BYTES < len(DATA)
        assert read(payload) == DATA


def test_a_path_without_a_file_is_an_error_on_entry(tmp_path: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(FileNotFoundError, match="No such file or directory: "):
        Payload(tmp_path / "none").__enter__()


def test_a_str_that_names_no_file_may_be_meant_as_text() -> None:
    """The error says what stores it."""
    with pytest.raises(FileNotFoundError, match="text is stored by .*encode") as caught:
        Payload("checked by hand").__enter__()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "checked by hand")


def test_a_file_is_read_from_its_position_and_stays_open(tmp_path: Path) -> None:
    """A retry begins at that position again; who opened the file closes it."""
    file = tmp_path / "data.bin"
    file.write_bytes(b"header" + DATA)
    with file.open("rb") as opened:
        opened.seek(6)
        with Payload(opened) as payload:
            assert payload.size_bytes == len(DATA)
            assert next(payload.chunks()) == DATA[:CHUNK_BYTES]
            assert read(payload) == DATA
        assert not opened.closed


@pytest.mark.parametrize("position", [3, 10])
def test_a_file_that_stands_at_its_end_is_refused(position: int) -> None:
    """It was just written or read: an empty object would be stored in place of what it holds."""
    file = io.BytesIO(b"abc")
    file.seek(position)
    with (
        pytest.raises(ConfigError, match=rf"stands at byte {position} of 3.*seek\(0\)"),
        Payload(file),
    ):
        pass
    assert file.tell() == position


def test_an_empty_file_is_an_empty_object() -> None:
    """It stands at its end and holds nothing."""
    with Payload(io.BytesIO()) as payload:
        assert (payload.size_bytes, read(payload)) == (0, b"")


def test_a_pipe_is_spooled() -> None:
    """It cannot seek, and a failed try must be repeatable."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"through a pipe")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe, Payload(pipe) as payload:
        assert payload.size_bytes == 14
        assert read(payload) == read(payload) == b"through a pipe"


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_pipe_without_data_is_not_taken_for_ended(buffering: int) -> None:
    """In non-blocking mode a read gives None before the writer ends: the rest would be lost."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"a beginning")
    with (
        os.fdopen(write_end, "wb"),
        os.fdopen(read_end, "rb", buffering) as pipe,
        pytest.raises(StorageError, match=r"non-blocking mode .* behind byte 11: nothing was"),
        Payload(pipe),
    ):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_is_spooled(tmp_path: Path) -> None:
    """As /dev/stdin, it has a path and cannot seek."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"through a pipe",))
    writer.start()
    with Payload(pipe) as payload:
        assert read(payload) == read(payload) == b"through a pipe"
    writer.join()


def test_a_map_of_a_file_is_read_from_its_position(tmp_path: Path) -> None:
    """Python 3.10 to 3.12 do not say that it can seek."""
    file = tmp_path / "data.bin"
    file.write_bytes(b"headerabc")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as map_:
        map_.seek(6)
        with Payload(cast(BinaryIO, map_)) as payload:
            assert read(payload) == read(payload) == b"abc"


class Reader:
    """What has no more than `read`."""

    def __init__(self) -> None:
        self.left = b"abc"

    def read(self, size: int = -1) -> bytes:
        """Return the next byte."""
        if size == 0:
            return b""
        data, self.left = self.left[:1], self.left[1:]
        return data


def test_what_only_reads_is_spooled() -> None:
    """As the bodies that HTTP libraries give."""
    with Payload(cast(BinaryIO, Reader())) as payload:
        assert read(payload) == read(payload) == b"abc"


def test_after_an_error_a_file_stands_where_it_stood() -> None:
    """A caller who puts it again would store its rest alone."""
    file = io.BytesIO(b"headerabc")
    file.seek(6)
    with suppress(StorageError), Payload(file) as payload:
        assert next(payload.chunks()) == b"abc"
        raise StorageError("refused")
    assert file.tell() == 6


def test_what_grows_meanwhile_is_cut_to_its_first_size() -> None:
    """The size was promised to the store."""
    file = io.BytesIO(b"abc")
    with Payload(file) as payload:
        file.seek(0, io.SEEK_END)
        file.write(b"def")
        assert read(payload) == b"abc"


def test_what_shrinks_meanwhile_is_an_error_that_is_not_retried(tmp_path: Path) -> None:
    """It says where; as no OSError it is not taken for a network error."""
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)
    with Payload(file) as payload:
        os.truncate(file, 100)
        with pytest.raises(StorageError, match=r"ended at byte 100 of 2,097,152") as caught:
            read(payload)
    assert not isinstance(caught.value, OSError)


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if size:
            raise OSError(5, "disk on fire")
        return b""


def test_a_read_error_is_told_from_a_network_error() -> None:
    """A damaged disk does not get better by sending again."""
    with Payload(Broken(b"abc")) as payload, pytest.raises(StorageError, match="disk on fire"):
        read(payload)


@pytest.mark.parametrize("data", [None, 5, ["a"], io.StringIO("text")])
def test_other_data_is_refused(data: Any) -> None:
    """Text has no bytes until someone chooses an encoding."""
    with pytest.raises(TypeError, match="bytes, a path or a binary file"), Payload(data):
        pass


def test_a_text_file_in_disguise_is_refused() -> None:
    """Tempfile's wrapper is no TextIOBase, but gives text all the same."""
    with (
        tempfile.NamedTemporaryFile("w+") as file,
        pytest.raises(TypeError, match="a binary file is needed"),
        Payload(file),
    ):
        pass


@pytest.mark.parametrize("kind", ["xxhash2", "md5", "crc32c", "sha256"])
def test_what_the_store_received_is_compared(kind: str) -> None:
    """By the checksum it uses, also where that is not the usual one."""
    hasher = HASHERS[kind]()
    hasher.update(b"abc")
    with Payload(b"abc") as payload:
        sent = HashedPayload(payload)
        assert b"".join(sent.chunks()) == b"abc"
        sent.check(Checksum(kind, hasher.hexdigest().upper()), "ais://b/o")
        with pytest.raises(IntegrityError, match=f"ais://b/o.*{kind} checksum of 0000"):
            sent.check(Checksum(kind, "0000"), "ais://b/o")


@pytest.mark.parametrize("checksum", [None, Checksum("none", ""), Checksum("md6", "0")])
def test_without_a_known_checksum_there_is_nothing_to_compare(checksum: Checksum | None) -> None:
    """A bucket may have checksums switched off."""
    with Payload(b"abc") as payload:
        HashedPayload(payload).check(checksum, "ais://b/o")


def test_a_pipe_is_stored_by_its_path(tmp_path: Path) -> None:
    """As the shell's <(command) gives one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(DATA))
    writer.start()
    with Payload(pipe) as payload:
        assert payload.size_bytes == len(DATA)
        assert read(payload) == read(payload) == DATA
    writer.join()


def test_a_file_that_hides_its_size_is_stored_whole() -> None:
    """The kernel's own say that they have no bytes."""
    path = Path("/proc/self/limits")
    if not path.exists():
        pytest.skip("there is no /proc")
    with Payload(path) as payload:
        assert read(payload) == path.read_bytes()
    with path.open("rb", buffering=0) as file, Payload(file) as payload:
        assert payload.size_bytes == len(path.read_bytes())
