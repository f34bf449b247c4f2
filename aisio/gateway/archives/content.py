"""Bytes out of archives and into them, in pieces: no archive or member is ever held whole."""

from __future__ import annotations

import contextlib
import io
import itertools
import lzma
import os
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import BinaryIO, NamedTuple

from aisio.formats.tar import END_OF_ARCHIVE, header, padding
from aisio.gateway.archives.index import (
    Index,
    Member,
    open_stream,
    open_zip,
    require_lz4,
)
from aisio.gateway.protocol.refusals import DamagedError
from aisio.gateway.storage.pieces import PIECE_BYTES, close

_FIRST_ZIP_SECOND = 315532800
"""1980-01-01, before which zip knows no time."""


class ArchiveReader:
    """Reads members of one open archive; those in order are read without going back.

    Args:
        file: The archive. Its position is the reader's own.
        index: What is in it.
    """

    def __init__(self, file: io.FileIO, index: Index) -> None:
        self._file = file
        self._index = index

    def pieces(self, member: Member, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, stop) of a member's payload, all of them.

        Raises:
            DamagedError: They are not there, or cannot be unpacked.
        """
        stop = member.size_bytes if stop is None else stop
        if self._index.form == ".zip":
            return self._zip_pieces(member, start, stop)
        return self.span(member.data_offset + start, member.data_offset + stop)

    def raw(self, member: Member) -> Iterator[bytes]:
        """Yield a member as it stands in a tar: its own headers, payload and padding."""
        if self._index.form == ".zip":
            yield header(member.name, member.size_bytes)
            yield from self.pieces(member)
        else:
            yield from self.span(member.offset, member.data_offset + member.size_bytes)
        yield padding(member.size_bytes)

    def span(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes [start, stop) of the uncompressed tar.

        Raises:
            DamagedError: There are fewer, or they cannot be unpacked.
        """
        while start < stop:
            with _damage_told("the archive"):
                piece = self._read(start, min(PIECE_BYTES, stop - start))
            if not piece:
                raise DamagedError("the archive was cut while it was read")
            yield piece
            start += len(piece)

    def _read(self, start: int, count: int) -> bytes:
        if self._index.form == ".tar":
            return os.pread(self._file.fileno(), count, start)
        if self._stream.tell() != start:
            self._stream.seek(start)
        return self._stream.read(count)

    @cached_property
    def _stream(self) -> BinaryIO:
        return open_stream(self._file, self._index.form)

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        return open_zip(self._file)

    def _zip_pieces(self, member: Member, start: int, stop: int) -> Iterator[bytes]:
        what = f"member {member.name!r}"
        with _damage_told(what), self._zip.open(self._zip.infolist()[member.offset]) as payload:
            payload.seek(start)
            while start < stop and (piece := payload.read(min(PIECE_BYTES, stop - start))):
                yield piece
                start += len(piece)
        if start < stop:
            raise DamagedError(f"{what} ends {stop - start:,} bytes before its size is reached")


@contextlib.contextmanager
def _damage_told(what: str) -> Iterator[None]:
    """Turn what the libraries of compression raise into one error."""
    try:
        yield
    except (
        *(EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
        *(NotImplementedError, RuntimeError, ValueError, OSError),
    ) as error:
        # bz2 and gzip raise OSError without a number, lz4 RuntimeError, a zip's password as well.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(f"{what} cannot be read: {error}") from error


class NewMember(NamedTuple):
    """A member to be written.

    Attributes:
        name: Its name.
        size_bytes: Of its payload.
        mtime_s: When it changed last, in seconds since 1970.
        pieces: The payload.
    """

    name: str
    size_bytes: int
    mtime_s: int
    pieces: Iterable[bytes]


def pack(
    form: str, members: Iterable[NewMember], *, before: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """Yield the bytes of an archive.

    Args:
        form: One of the values of FORMS.
        members: What goes in.
        before: Members in front of these, as they stand in a tar; nothing for a zip.

    Raises:
        Refusal: The form cannot be written on this machine.
        DamagedError: A payload has not the size that was said.
    """
    try:
        if form == ".zip":
            yield from _zip(members)
            return
        tar = itertools.chain(before, _tar(members), (END_OF_ARCHIVE,))
        press = {".tgz": _gzip, ".tar.lz4": _lz4}.get(form)
        yield from press(tar) if press else tar
    finally:
        close(members)


def _tar(members: Iterable[NewMember]) -> Iterator[bytes]:
    for member in members:
        yield header(member.name, member.size_bytes, mtime_s=member.mtime_s)
        yield from _exactly(member)
        yield padding(member.size_bytes)


def _exactly(member: NewMember) -> Iterator[bytes]:
    left = member.size_bytes
    for piece in member.pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise DamagedError(f"{member.name} changed while it was read")


def _gzip(tar: Iterable[bytes]) -> Iterator[bytes]:
    # 31: a gzip header around deflate with the largest window (zlib's manual, deflateInit2).
    press = zlib.compressobj(1, wbits=31)
    for piece in tar:
        yield press.compress(piece)
    yield press.flush()


def _lz4(tar: Iterable[bytes]) -> Iterator[bytes]:
    press = require_lz4().LZ4FrameCompressor()
    yield press.begin()
    for piece in tar:
        yield press.compress(piece)
    yield press.flush()


class _Sink(io.RawIOBase):
    """What zipfile writes to; it cannot go back, so sizes come behind the payloads."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self.pieces = b"".join(self.pieces), []
        return taken


def _zip(members: Iterable[NewMember]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            when = time.gmtime(max(member.mtime_s, _FIRST_ZIP_SECOND))[:6]
            info = zipfile.ZipInfo(member.name, when)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with archive.open(info, "w", force_zip64=member.size_bytes >= 1 << 31) as payload:
                for piece in _exactly(member):
                    payload.write(piece)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
