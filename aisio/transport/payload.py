"""Payload: what can be stored (bytes, a path, a binary file) as chunks of a known total size."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeAlias, cast

from aisio.errors import ConfigError, IntegrityError, StorageError
from aisio.formats.checksums import HASHERS
from aisio.records import Checksum

PutData: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO"
"""Bytes, the path of a local file, or a binary file, which is read from its position to its end."""

CHUNK_BYTES = 1024 * 1024
_DEFAULT_KIND = "xxhash2"
_SPOOLED_IN_MEMORY_BYTES = 16 * CHUNK_BYTES


class Payload:
    """Data to be stored, readable more than once; use it in a `with` statement.

    A file that cannot seek (a pipe) or does not know its size (in /proc) is copied to a temporary
    file first: stores want the size in advance, and a failed try must be repeatable.

    Args:
        data: What to store.

    Raises:
        TypeError: On entry: the data is neither bytes nor a path nor a binary file.
        FileNotFoundError: On entry: the path names no file.
        ConfigError: On entry: the file is not empty, and its position is its end.
        StorageError: On entry: a file in non-blocking mode has no data now.
    """

    def __init__(self, data: PutData) -> None:
        self._data = data
        self._stack = ExitStack()
        self._bytes: memoryview | None = None
        self._file: BinaryIO | None = None
        self._start = 0
        self.size_bytes = 0

    def __enter__(self) -> Payload:
        data = self._data
        if isinstance(data, (bytes, bytearray, memoryview)):
            view = memoryview(data)
            self._bytes = memoryview(_flat(view))
            self.size_bytes = view.nbytes
            return self
        with ExitStack() as stack:
            file = _open_seekable(data, stack)
            self._start = file.tell()
            file.seek(0, io.SEEK_END)
            stop = file.tell()
            if 0 < stop <= self._start:
                file.seek(self._start)
                raise ConfigError(
                    f"the file to store stands at byte {self._start} of {stop}: nothing would be "
                    f"stored of it; call its seek(0) first to store it from its start"
                )
            self.size_bytes = max(0, stop - self._start)
            self._file = file
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._file is not None:
            with suppress(OSError, ValueError):  # so that the caller can put it again
                self._file.seek(self._start)
        self._stack.close()

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the data from its start, `size_bytes` in all.

        Raises:
            StorageError: The file cannot be read, or has shrunk meanwhile.
        """
        if self._bytes is not None:
            if self._bytes:
                yield self._bytes
            return
        left = self.size_bytes
        while left:
            data = self._read(min(left, CHUNK_BYTES), self.size_bytes - left)
            left -= len(data)
            yield data

    def _read(self, size: int, offset: int) -> bytes:
        assert self._file is not None
        try:
            if offset == 0:
                self._file.seek(self._start)
            data = self._file.read(size)
        except OSError as error:
            # An OSError here would pass for a network error, and be retried.
            raise StorageError(
                f"reading the data to store failed at byte {offset:,}: {error}"
            ) from error
        if not data:
            raise StorageError(
                f"the data to store ended at byte {offset:,} of {self.size_bytes:,}: "
                f"the file has shrunk since it was opened"
            )
        return data


def _flat(view: memoryview) -> bytes | memoryview:
    if not view.nbytes:
        return b""
    return view.cast("B") if view.c_contiguous else view.tobytes()


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError as error:
        if not isinstance(path, str):
            raise
        hint = "a str is the path of a file; text is stored by its .encode()"
        raise FileNotFoundError(error.errno, f"{error.strerror} ({hint})", path) from None


def _open_seekable(data: str | os.PathLike[str] | BinaryIO, stack: ExitStack) -> BinaryIO:
    if isinstance(data, (str, os.PathLike)):
        data = stack.enter_context(_open(data))
    if not hasattr(data, "read") or isinstance(data.read(0), str):
        raise TypeError(
            f"cannot store a {type(data).__name__}: bytes, a path or a binary file is needed"
        )
    if _can_seek(data) and not _hides_its_size(data):
        return data
    spool = tempfile.SpooledTemporaryFile(_SPOOLED_IN_MEMORY_BYTES)  # noqa: SIM115
    stack.enter_context(spool)
    _copy_all(data, cast(BinaryIO, spool))
    spool.seek(0)
    return cast(BinaryIO, spool)


def _copy_all(source: BinaryIO, out: BinaryIO) -> None:
    """Copy a file from its position to its end.

    Raises:
        StorageError: It is in non-blocking mode and has no data now: nobody knows where it ends.
    """
    size = 0
    # A buffered file in non-blocking mode returns what it has, then None; its end is b"".
    while (data := cast("bytes | None", source.read(CHUNK_BYTES))) != b"":
        if data is None:
            raise StorageError(
                f"the file to store is in non-blocking mode and has no data now, behind byte "
                f"{size:,}: nothing was stored; call os.set_blocking(file.fileno(), True) first"
            )
        out.write(data)
        size += len(data)


def _hides_its_size(file: BinaryIO) -> bool:
    """Tell whether a file has bytes, but seems to end before them: files in /proc, devices."""
    start = file.tell()
    try:
        file.seek(0, io.SEEK_END)
    except OSError:
        return True
    seems_to_end = file.tell() <= start
    file.seek(start)
    if not seems_to_end:
        return False
    has_bytes = bool(file.read(1))
    file.seek(start)
    return has_bytes


def _can_seek(file: BinaryIO) -> bool:
    if hasattr(file, "seekable"):
        return file.seekable()
    return hasattr(file, "seek")  # an mmap, up to Python 3.12


class HashedPayload:
    """Hashes a payload while it is sent, with the checksum that AIStore computes by default.

    Args:
        payload: What is sent.
    """

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._hasher = HASHERS[_DEFAULT_KIND]()

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the payload's chunks, hashing each."""
        for chunk in self._payload.chunks():
            self._hasher.update(chunk)
            yield chunk

    def check(self, stored: Checksum | None, url: str) -> None:
        """Compare what was sent with what the store says it received.

        Raises:
            IntegrityError: They differ.
        """
        if stored is None or stored.kind not in HASHERS:
            return
        if stored.kind != _DEFAULT_KIND:
            self._hasher = HASHERS[stored.kind]()
            for _ in self.chunks():
                pass
        sent = self._hasher.hexdigest()
        if sent != stored.value.lower():
            raise IntegrityError(
                f"PUT {url}: the store has a {stored.kind} checksum of {stored.value}, "
                f"what was sent has {sent}; put it again",
                url=url,
            )
