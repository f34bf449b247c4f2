"""Reads and writes archives in pieces: no archive is ever in memory as a whole.

Neither is a member, unless it is a sparse file, which may have up to 1 GiB.
"""

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

from aisio.errors import ConfigError, ShardError
from aisio.formats.tar import NEED_DATA
from aisio.formats.tar_header import MalformedHeaderError
from aisio.formats.tar_part import TarPart
from aisio.formats.tar_sparse import check_sparse_sizes
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.formats.zip_member import read_zip_member
from aisio.gateway.archives.formats import open_tar, require_lz4
from aisio.gateway.archives.index import Index, Member
from aisio.gateway.protocol.refusals import DamagedError, Refusal
from aisio.gateway.storage.pieces import PIECE_BYTES, close_generator

_ZIP_SECONDS = (315532800, 4354819198)
"""1980-01-01 and 2107-12-31 UTC, the first and last times that a zip can express."""

_MAX_ZIP_NAME_BYTES = (1 << 16) - 1

_TAR_SECONDS = (0, 8**11 - 1)
"""The first and last times that fit into the field of a tar's header, the last in the year 2242."""


class ArchiveReader:
    """Reads members of one open archive; without seeking back where they are read in order.

    Args:
        file: The archive. Nothing else may move its position.
        index: What is in it.
    """

    def __init__(self, file: io.FileIO, index: Index) -> None:
        self._file = file
        self._index = index

    def pieces(self, member: Member, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, stop) of a member's payload, all of them.

        Raises:
            DamagedError: Some are missing, or cannot be decompressed.
        """
        stop = member.size_bytes if stop is None else stop
        if self._index.format == ".zip":
            return self._zip_pieces(member, start, stop)
        if member.sparse_stop:
            return self._sparse_pieces(member, start, stop)
        return self.span(member.data_offset + start, member.data_offset + stop)

    def raw(self, member: Member) -> Iterator[bytes]:
        """Yield a member as it is in a tar: its own headers, payload and padding."""
        if self._index.format == ".zip" or member.sparse_stop:
            yield _header(member.name, member.size_bytes)
            yield from self.pieces(member)
        else:
            yield from self.span(member.offset, member.data_offset + member.size_bytes)
        yield padding(member.size_bytes)

    def span(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes [start, stop) of the uncompressed tar.

        Raises:
            DamagedError: Some are missing, or cannot be decompressed.
        """
        while start < stop:
            with _as_damage("the archive"):
                piece = self._read(start, min(PIECE_BYTES, stop - start))
            if not piece:
                raise DamagedError("the archive was cut while it was read")
            yield piece
            start += len(piece)

    def _sparse_pieces(self, member: Member, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes [start, stop) of the content of a sparse file.

        Raises:
            DamagedError: Its map is not valid, or it is too large.
        """
        try:
            check_sparse_sizes(member.size_bytes, member.sparse_stop - member.offset)
        except MalformedHeaderError as error:
            raise DamagedError(f"member {member.name!r}: {error}") from error
        data = bytearray().join(self.span(member.offset, member.sparse_stop))
        parser = TarPart()
        parser.begin(data, 0, len(data), member.offset)
        parser.finish()
        try:
            parser.next_event()
            content = parser.read_sparse()
        except ShardError as error:
            raise DamagedError(str(error)) from error
        assert content is not NEED_DATA, "finish() was called"
        for at in range(start, stop, PIECE_BYTES):
            yield content[at : min(at + PIECE_BYTES, stop)]

    def _read(self, start: int, count: int) -> bytes:
        if self._index.format == ".tar":
            return self._pread(start, count)
        if self._tar.tell() != start:
            self._tar.seek(start)
        return self._tar.read(count)

    def _pread(self, start: int, count: int) -> bytes:
        # fileno() each time: the number of a file that was closed may be another file's.
        return os.pread(self._file.fileno(), count, start)

    @cached_property
    def _tar(self) -> BinaryIO:
        return open_tar(self._file, self._index.format)

    def _zip_pieces(self, member: Member, start: int, stop: int) -> Iterator[bytes]:
        assert member.zipped is not None, "the archive is a zip"
        position = 0
        with _as_damage(f"member {member.name!r}"):
            for piece in read_zip_member(member.zipped, self._pread):
                part = piece[max(0, start - position) : stop - position]
                position += len(piece)
                if part:
                    yield part
                if position >= stop:
                    return


@contextlib.contextmanager
def _as_damage(what: str) -> Iterator[None]:
    """Raise a DamagedError for any error of the compression libraries."""
    try:
        yield
    except (
        *(EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
        *(NotImplementedError, RuntimeError, ValueError, OSError),
    ) as error:
        # gzip and bzip2 raise OSError without a number, lz4 RuntimeError.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(f"{what} cannot be read: {error}") from error


class NewMember(NamedTuple):
    """A member to be written.

    Attributes:
        name: Its path in the archive.
        size_bytes: Of its payload.
        mtime_s: Time of its last change, in seconds since 1970.
        pieces: The payload.
    """

    name: str
    size_bytes: int
    mtime_s: int
    pieces: Iterable[bytes]


def pack(
    archive_format: str, members: Iterable[NewMember], *, before: Iterable[bytes] = ()
) -> Iterator[bytes]:
    """Yield the bytes of an archive.

    Args:
        archive_format: One of the values of FORMATS.
        members: What goes in.
        before: Members to put in front of these, as pieces of a tar; nothing for a zip.

    Raises:
        Refusal: The format cannot be written on this machine, or has no such names.
        DamagedError: A payload has another size than its member says.
    """
    try:
        if archive_format == ".zip":
            yield from _zip(members)
            return
        tar = itertools.chain(before, _tar(members), (END_OF_ARCHIVE,))
        compress = {".tgz": _gzip, ".tar.lz4": _lz4}.get(archive_format)
        yield from compress(tar) if compress else tar
    finally:
        close_generator(members)


def _tar(members: Iterable[NewMember]) -> Iterator[bytes]:
    for member in members:
        mtime_s = _clamped(member.mtime_s, _TAR_SECONDS)
        yield _header(member.name, member.size_bytes, mtime_s=mtime_s)
        yield from _checked_payload(member)
        yield padding(member.size_bytes)


def _header(name: str, size_bytes: int, *, mtime_s: int = 0) -> bytes:
    """Return the header of a file in a tar.

    Raises:
        Refusal: No tar can have a file of that name.
    """
    try:
        return header(name, size_bytes, mtime_s=mtime_s)
    except ConfigError as error:
        raise Refusal(400, str(error)) from None


def _clamped(mtime_s: int, seconds: tuple[int, int]) -> int:
    """Return the time that a format can express and that is next: no data depends on it."""
    first, last = seconds
    return min(max(mtime_s, first), last)


def _checked_payload(member: NewMember) -> Iterator[bytes]:
    missing = member.size_bytes
    for piece in member.pieces:
        missing -= len(piece)
        if missing < 0:
            break
        yield piece
    if missing:
        raise DamagedError(f"{member.name} changed while it was read")


def _gzip(tar: Iterable[bytes]) -> Iterator[bytes]:
    # 31: a gzip header around deflate with the largest window (zlib's manual, deflateInit2).
    compressor = zlib.compressobj(1, wbits=31)
    for piece in tar:
        yield compressor.compress(piece)
    yield compressor.flush()


def _lz4(tar: Iterable[bytes]) -> Iterator[bytes]:
    compressor = require_lz4().LZ4FrameCompressor()
    yield compressor.begin()
    for piece in tar:
        yield compressor.compress(piece)
    yield compressor.flush()


class _Sink(io.RawIOBase):
    """What zipfile writes to. It cannot seek, so zipfile writes sizes after the payloads."""

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


_ZIP_FILE, _ZIP_FOLDER = 0o644 << 16, 0o40755 << 16 | 0x10
"""Permissions. unzip would give a folder those of a file, and nobody could enter it."""


def _zip(members: Iterable[NewMember]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            when = time.gmtime(_clamped(member.mtime_s, _ZIP_SECONDS))[:6]
            _check_zip_name(member.name)
            info = zipfile.ZipInfo(member.name, when)
            is_folder = member.name.endswith("/")
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = _ZIP_FOLDER if is_folder else _ZIP_FILE
            # Tells zipfile whether the sizes may need 64 bits: compressed data may be longer.
            info.file_size = member.size_bytes
            with archive.open(info, "w") as payload:
                for piece in _checked_payload(member):
                    payload.write(piece)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


def _check_zip_name(name: str) -> None:
    """Refuse a name that no file in a zip can have; zipfile cuts it at a NUL.

    Raises:
        Refusal: It cannot.
    """
    if "\0" in name or len(name.encode("utf-8", "surrogatepass")) > _MAX_ZIP_NAME_BYTES:
        raise Refusal(400, f"{name[:200]!r} cannot be the name of a file in a zip archive")
