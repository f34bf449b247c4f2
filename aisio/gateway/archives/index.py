"""What an archive is and where its members lie, found by reading it through once.

The places are kept by the state of the file, so that further members of a shard cost one seek. They
are kept in memory: 1,000,000 members, about 300 MB, are the most, of one archive and of all.
"""

from __future__ import annotations

import gzip
import importlib
import io
import itertools
import os
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

from aisio.errors import ShardError
from aisio.formats.tar import (
    BLOCK_BYTES,
    END,
    NEED_DATA,
    TarMember,
    TarParser,
)
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.storage.metadata import FileState

MOST_MEMBERS = 1_000_000
"""How many members an archive may have; AIStore's own limit for an index is 1,048,576."""

_MOST_DIRECTORY_BYTES = 256 << 20
"""The largest central directory of a zip that is read: 268 bytes for each of MOST_MEMBERS."""

_Key: TypeAlias = tuple[int, FileState, str]

FORMS: Mapping[str, str] = MappingProxyType(
    {".tar": ".tar", ".tgz": ".tgz", ".tar.gz": ".tgz", ".zip": ".zip", ".tar.lz4": ".tar.lz4"}
)
"""File name endings of archives, and which form of archive each one means."""

CONTENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".tar": "application/x-tar",
        ".tgz": "application/gzip",
        ".zip": "application/zip",
        ".tar.lz4": "application/x-lz4",
    }
)

_MAGICS = (
    (257, b"ustar", ".tar"),
    (0, b"\x1f\x8b", ".tgz"),
    (0, b"PK\x03\x04", ".zip"),
    (0, b"\x04\x22\x4d\x18", ".tar.lz4"),
)


class Member(NamedTuple):
    """One member of an archive.

    Attributes:
        name: As the archive has it.
        size_bytes: Of its payload.
        offset: Where its header begins, counted in bytes of the uncompressed tar; for zip, its
            number.
        data_offset: Where its payload begins, counted likewise.
        is_folder: It is a folder, and has no payload.

    In the index of a damaged archive are only members whose payloads are there whole.
    """

    name: str
    size_bytes: int
    offset: int
    data_offset: int
    is_folder: bool


class Index:
    """What is in an archive.

    Args:
        form: One of the values of FORMS.
        members: All that could be read, in the order of the archive.
        damage: Why there are no more; "" if it is whole.
    """

    def __init__(self, form: str, members: tuple[Member, ...], damage: str) -> None:
        self.form = form
        self.members = members
        self.damage = damage

    @property
    def end(self) -> int:
        """Where, in the uncompressed tar, the next member would begin."""
        if not self.members:
            return 0
        last = self.members[-1]
        return last.data_offset + last.size_bytes + -last.size_bytes % BLOCK_BYTES

    def find(self, path: str) -> Member | None:
        """Return the first member of that path that is no folder; a leading slash is nothing."""
        return self._by_path.get(path.removeprefix("/"))

    @cached_property
    def listed(self) -> list[Member]:
        """The members that are files, in the order of their names in listings."""
        files = (member for member in self.members if not member.is_folder)
        return sorted(files, key=listed_name)

    @cached_property
    def _by_path(self) -> dict[str, Member]:
        files = (member for member in reversed(self.members) if not member.is_folder)
        return {member.name.removeprefix("/"): member for member in files}


class Archives:
    """The indices of the archives that are in use; any thread may ask.

    Args:
        most_members: How many members to remember in all; the archives used last stay.
    """

    def __init__(self, *, most_members: int = MOST_MEMBERS) -> None:
        self._most_members = most_members
        self._lock = threading.Lock()
        self._building = tuple(threading.Lock() for _ in range(16))
        self._kept: dict[_Key, Index] = {}
        self._members = 0

    def known(self, status: os.stat_result, form: str) -> Index | None:
        """Return what is in an archive, if it has been read through in its present state."""
        key = _key(status, form)
        with self._lock:
            index = self._kept.pop(key, None)
            if index is not None:
                self._kept[key] = index  # the last in the row is the last to go
        return index

    def index(self, file: io.FileIO, status: os.stat_result, form: str) -> Index:
        """Return what is in an open archive; reads it through the first time.

        Raises:
            Refusal: Its form cannot be read on this machine.
        """
        key = _key(status, form)
        # Several readers of a new shard wait for one of them to read it through.
        with self._building[hash(key) % len(self._building)]:
            index = self.known(status, form)
            if index is None:
                index = read_index(file, form)
                self._keep(key, index)
        return index

    def _keep(self, key: _Key, index: Index) -> None:
        with self._lock:
            self._kept[key] = index
            self._members += len(index.members)
            while self._members > self._most_members and len(self._kept) > 1:
                oldest = next(iter(self._kept))
                self._members -= len(self._kept.pop(oldest).members)


def _key(status: os.stat_result, form: str) -> _Key:
    return status.st_dev, FileState.of(status), form


def listed_name(member: Member) -> str:
    """Return a member's name as listings show it: without a slash or "./" in front.

    Bytes that are not UTF-8 are shown as U+FFFD, as by AIStore: JSON has no way to say them.
    """
    name = member.name.removeprefix("./").lstrip("/")
    if name.isprintable():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def form_of_name(name: str) -> str:
    """Return the form that an object's name says it has; "" for none."""
    return next((form for ending, form in FORMS.items() if name.endswith(ending)), "")


def form_of_mime(mime: str) -> str:
    """Return the form that a client says: an ending such as ".tgz", or a MIME type; "" for none.

    Raises:
        Refusal: AIStore has no such form.
    """
    if not mime:
        return ""
    form = FORMS.get(mime) or FORMS.get(f".{mime}")
    form = form or next((form for form, kind in CONTENT_TYPES.items() if kind == mime), None)
    if form is None:
        raise Refusal(400, f'unknown mime type "{mime}"', tcode="errUnknownMime")
    return form


def form_of_file(file: io.FileIO, name: str, mime: str = "") -> str:
    """Return the form of an object: as the client says, by its name, or by its first bytes.

    Raises:
        Refusal: It is no archive.
    """
    form = form_of_mime(mime) or form_of_name(name)
    if form:
        return form
    start = os.pread(file.fileno(), BLOCK_BYTES, 0)
    for offset, magic, form in _MAGICS:
        if start.startswith(magic, offset):
            return form
    raise Refusal(400, f'unrecognized or unsupported file format: "{name}"')


def open_stream(file: io.FileIO, form: str) -> BinaryIO:
    """Return the uncompressed tar of an open archive that is not a zip, from its start.

    Raises:
        Refusal: lz4, and there is no package for it here.
    """
    file.seek(0)
    if form == ".tgz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if form == ".tar.lz4":
        return cast(BinaryIO, require_lz4().LZ4FrameFile(file))
    return cast(BinaryIO, file)


def require_lz4() -> Any:
    """Return the module that reads and writes lz4.

    Raises:
        Refusal: It is not installed.
    """
    try:
        return importlib.import_module("lz4.frame")
    except ImportError:
        raise Refusal(
            501,
            "lz4 archives need the package lz4 where the gateway runs (pip install lz4) - "
            "operation not supported",
            tcode="ErrUnsupp",
        ) from None


def read_index(file: io.FileIO, form: str, *, most_members: int = MOST_MEMBERS) -> Index:
    """Read an open archive through.

    Args:
        file: The archive.
        form: One of the values of FORMS.
        most_members: An archive that has more is as good as damaged behind them.

    Raises:
        Refusal: Its form cannot be read on this machine.
    """
    found = _zip_members(file) if form == ".zip" else _tar_members(open_stream(file, form))
    members: list[Member] = []
    damage = ""
    try:
        members.extend(itertools.islice(found, most_members))
        if next(found, None) is not None:
            damage = f"it has over {most_members:,} members, and no more are read: split the shard"
    except ShardError as error:
        damage = str(error)
    except zipfile.BadZipFile as error:
        damage = f"the zip archive is damaged: {error}"
    except (EOFError, zlib.error, RuntimeError, gzip.BadGzipFile) as error:
        damage = f"the compressed data is damaged: {error}"
    return Index(form, tuple(members), damage)


def _tar_members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members of a tar, each when its payload has been read."""
    parser, received = TarParser(), 0
    last: Member | None = None
    try:
        while (event := parser.next_event()) is not END:
            if event is NEED_DATA:
                count = stream.readinto(parser.get_buffer())  # type: ignore[attr-defined]
                received += count
                if count:
                    parser.buffer_updated(count)
                else:
                    parser.finish()
            elif isinstance(event, TarMember):
                if last is not None:
                    yield last
                parser.skip_payload()
                is_folder = event.kind == "directory"
                place = (event.size_bytes, event.offset, event.data_offset)
                last = Member(event.name, *place, is_folder)
    except Exception:
        if last is not None and last.data_offset + last.size_bytes <= received:
            yield last
        raise
    if last is not None:
        yield last


def open_zip(file: io.FileIO) -> zipfile.ZipFile:
    """Open a zip whose directory is not too large.

    Raises:
        BadZipFile: It is damaged, or too large.
    """
    try:
        return zipfile.ZipFile(cast("BinaryIO", _BoundedReads(file)))
    except (OSError, ValueError, NotImplementedError) as error:
        raise zipfile.BadZipFile(str(error)) from None


class _BoundedReads:
    """A file that reads only so much at once: zipfile reads a directory of any size whole."""

    def __init__(self, file: io.FileIO) -> None:
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable
        self._file = file

    def read(self, count: int = -1) -> bytes:
        if count > _MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"a directory of {count:,} bytes is too large")
        return self._file.read(count)


def _zip_members(file: io.FileIO) -> Iterator[Member]:
    with open_zip(file) as archive:
        for number, info in enumerate(archive.infolist()):
            yield Member(info.filename, info.file_size, number, number, info.is_dir())
