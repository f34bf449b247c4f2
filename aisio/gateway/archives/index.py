"""The index of an archive: its members and where they lie, found by reading it through once."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO, NamedTuple

from aisio.errors import ShardError
from aisio.formats.tar import BLOCK_BYTES, END, NEED_DATA, TarMember, TarParser
from aisio.formats.zip_member import ZipEntry
from aisio.gateway.archives.formats import open_tar, open_zip

MAX_MEMBERS = 1_000_000
"""How many members an archive may have; AIStore's own limit for an index is 1,048,576."""

_CHARS_PER_MEMBER = 512
"""A member with a longer name counts as several: a header may hold a name of 1 MiB, and a small
archive that is compressed thousands of those."""


class Member(NamedTuple):
    """One member of an archive.

    Attributes:
        name: As the archive has it.
        size_bytes: Of its payload.
        offset: Where its header begins, counted in bytes of the uncompressed tar, or of the zip.
        data_offset: Where its payload begins, counted likewise; 0 in a zip, where only the header
            tells.
        is_folder: It is a folder, and has no payload.
        sparse_stop: Where the next member begins, behind a sparse file; 0 for others. The payload
            of a sparse file is its content, which is made of what stands from `offset` on.
        zipped: What the directory of a zip says of its data; None in a tar.
    """

    name: str
    size_bytes: int
    offset: int
    data_offset: int
    is_folder: bool
    sparse_stop: int = 0
    zipped: ZipEntry | None = None


class Index:
    """The members of an archive. For a damaged one, only those whose payloads are complete.

    Args:
        format: One of the values of FORMATS.
        members: All that could be read, in the order of the archive.
        damage: Why there are no more; "" if the archive is whole.
    """

    def __init__(self, format: str, members: tuple[Member, ...], damage: str) -> None:
        self.format = format
        self.members = members
        self.damage = damage

    @property
    def end_offset(self) -> int:
        """Where, in the uncompressed tar, the next member would begin."""
        if not self.members:
            return 0
        last = self.members[-1]
        if last.sparse_stop:
            return last.sparse_stop
        return last.data_offset + last.size_bytes + -last.size_bytes % BLOCK_BYTES

    @cached_property
    def cost(self) -> int:
        """How much memory it takes, as a number of members."""
        return sum(map(_cost, self.members))

    def find(self, path: str) -> Member | None:
        """Return the first file of that path; a leading slash on either side does not count."""
        return self._by_path.get(path.removeprefix("/"))

    @cached_property
    def sorted_files(self) -> list[Member]:
        """The members that are files, in the order of their names in listings."""
        files = (member for member in self.members if not member.is_folder)
        return sorted(files, key=display_name)

    @cached_property
    def _by_path(self) -> dict[str, Member]:
        files = (member for member in reversed(self.members) if not member.is_folder)
        return {member.name.removeprefix("/"): member for member in files}


def display_name(member: Member) -> str:
    """Return a member's name as listings show it: without a slash or "./" in front.

    Bytes that are not UTF-8 are shown as U+FFFD, as by AIStore: JSON cannot express them.
    """
    name = member.name.removeprefix("./").lstrip("/")
    if name.isprintable():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_index(file: io.FileIO, archive_format: str, *, max_members: int = MAX_MEMBERS) -> Index:
    """Read an open archive through.

    Args:
        file: The archive.
        archive_format: One of the values of FORMATS.
        max_members: An archive with more counts as damaged after so many; a long name counts as
            several members.

    Raises:
        Refusal: Its format cannot be read on this machine.
    """
    if archive_format == ".zip":
        remaining = _zip_members(file)
    else:
        remaining = _tar_members(open_tar(file, archive_format))
    members: list[Member] = []
    cost, damage = 0, ""
    try:
        for member in remaining:
            cost += _cost(member)
            if cost > max_members:
                damage = (
                    f"it has over {max_members:,} members, and no more are read: split the shard"
                )
                break
            members.append(member)
    except ShardError as error:
        damage = str(error)
    except zipfile.BadZipFile as error:
        damage = f"the zip archive is damaged: {error}"
    except (EOFError, zlib.error, RuntimeError, gzip.BadGzipFile) as error:
        damage = f"the compressed data is damaged: {error}"
    return Index(archive_format, tuple(members), damage)


def _cost(member: Member) -> int:
    return 1 + len(member.name) // _CHARS_PER_MEMBER


def _tar_members(stream: BinaryIO) -> Iterator[Member]:
    """Yield the members of a tar, each when its payload has been read.

    Raises:
        ShardError: It is damaged, or a member is in a form that is not read.
    """
    parser, received = TarParser(allow_unreadable=True), 0
    last: Member | None = None
    is_sparse = False
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
                    yield last._replace(sparse_stop=event.offset) if is_sparse else last
                    last = None
                is_sparse = event.kind == "sparse"
                last = _member(event, parser)
                parser.skip_payload()
    except Exception:
        is_whole = last is not None and last.data_offset + last.size_bytes <= received
        if last is not None and is_whole and not is_sparse:
            yield last
        raise
    if last is not None:
        yield last._replace(sparse_stop=parser.end_offset or 0) if is_sparse else last


def _member(member: TarMember, parser: TarParser) -> Member:
    """Return a member at which a parser stands.

    Raises:
        ShardError: It is in a form that is not read.
    """
    size_bytes = parser.sparse_bytes if member.kind == "sparse" else None
    if member.unreadable and size_bytes is None:
        raise ShardError(member.describe_unreadable(), offset=member.offset)
    if size_bytes is None:
        size_bytes = member.size_bytes
    is_folder = member.kind == "directory"
    return Member(member.name, size_bytes, member.offset, member.data_offset, is_folder)


def _zip_members(file: io.FileIO) -> Iterator[Member]:
    with open_zip(file) as archive:
        for info in archive.infolist():
            # A hostile zip has a name of no characters, for which is_dir() fails.
            entry, is_folder = ZipEntry.of(info), info.filename.endswith("/")
            yield Member(
                info.filename, info.file_size, info.header_offset, 0, is_folder, zipped=entry
            )
