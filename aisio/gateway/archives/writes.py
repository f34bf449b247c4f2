"""Writing archives into a bucket: new ones, and members behind those of an existing one."""

from __future__ import annotations

import calendar
import contextlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from aisio.gateway.archives.content import ArchiveReader, NewMember, pack
from aisio.gateway.archives.formats import (
    format_of_file,
    format_of_mime,
    format_of_name,
    open_zip,
)
from aisio.gateway.archives.index import Index
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName, check_member_path
from aisio.gateway.storage.file_refusals import ChangedRefusal, object_changed
from aisio.gateway.storage.folder import Folder, OpenObject
from aisio.gateway.storage.pieces import PIECE_BYTES, coalesce
from aisio.gateway.storage.records import NO_FILE, FileIdentity
from aisio.gateway.storage.uploads import Upload

NEW, APPEND, APPEND_OR_NEW = 0, 1, 2
"""Values of the header Ais-Pine: a new archive; a member behind the existing ones; either."""

_MAX_TRIES = 10


def write_archive(
    folder: Folder,
    indexes: IndexCache,
    target: tuple[BucketName, str],
    archive_format: str,
    members: Iterable[NewMember],
    *,
    append_to: FileIdentity | None = None,
) -> int:
    """Store an archive, and return its size in bytes.

    Args:
        folder: The served folder.
        indexes: The indexes of its archives.
        target: Where it goes.
        archive_format: One of the values of FORMATS.
        members: What goes in; read one after the other.
        append_to: Put them behind the members of this archive, or of none where this is NO_FILE.
            None makes a new archive in place of any.

    Raises:
        ChangedRefusal: The target is no longer `append_to`.
        Refusal: No such bucket, or the archive to append to is damaged.
    """
    upload = folder.begin_upload(None)
    try:
        with _open_existing(folder, indexes, target, archive_format, append_to) as existing:
            all_members = chain(existing.zip_members, members)
            pieces = pack(archive_format, all_members, before=existing.tar_pieces)
            for piece in coalesce(pieces):
                upload.write([piece])
        _, status = folder.finish_upload(upload, [], *target, if_match=append_to)
    finally:
        upload.discard()
    return status.st_size


def put_member(
    folder: Folder,
    indexes: IndexCache,
    target: tuple[BucketName, str],
    upload: Upload,
    *,
    path: str,
    mime: str,
    mode: int,
) -> None:
    """Store an archive with one more member, whose payload is a finished upload.

    Where another program or request changes the archive meanwhile, it is read and written again, so
    nobody's change is lost.

    Args:
        folder: The served folder.
        indexes: The indexes of its archives.
        target: The archive.
        upload: The payload, complete and closed.
        path: The member's path.
        mime: The archive's format, where its name does not say it.
        mode: NEW, APPEND or APPEND_OR_NEW.

    Raises:
        Refusal: No archive to append to, an unknown format, or a path that no member can have.
    """
    path = check_member_path(path).lstrip("/")
    if not path:
        raise Refusal(400, f'invalid archpath "{path}"')
    for tries_left in reversed(range(_MAX_TRIES)):
        archive_format, identity = _format_and_identity(folder, target, mime, mode)
        append_to = None if mode == NEW else identity
        member = NewMember(path, upload.size_bytes, 0, _read_upload(upload))
        try:
            write_archive(folder, indexes, target, archive_format, [member], append_to=append_to)
            return
        except ChangedRefusal:
            if not tries_left:
                raise


def format_of_new_archive(name: str, mime: str) -> str:
    """Return the format of an archive that is to be made.

    Raises:
        Refusal: The name does not say it, or says another one than the client.
    """
    by_name = format_of_name(name)
    _check_mime(name, mime)
    if not by_name:
        ending = Path(name).suffix
        message = f'unknown filename extension ("{name}", "{ending}")'
        raise Refusal(400, message, tcode="errUnknownFileExt")
    return by_name


def _check_mime(name: str, mime: str) -> None:
    """Refuse a format that is not the one that the name says.

    Raises:
        Refusal: It is not, or there is no such format.
    """
    by_name, by_client = format_of_name(name), format_of_mime(mime)
    if by_name and by_client and by_client != by_name:
        raise Refusal(400, f'mime mismatch "{mime}" vs "{by_name}"')


def _format_and_identity(
    folder: Folder, target: tuple[BucketName, str], mime: str, mode: int
) -> tuple[str, FileIdentity]:
    """Return the format of an archive, and which file it is; NO_FILE for one to be made."""
    try:
        opened = folder.open_object(*target)
    except Refusal as refusal:
        if mode == APPEND or refusal.status != 404:
            raise
        return format_of_new_archive(target[1], mime), NO_FILE
    with opened.file as file:
        _check_mime(target[1], mime)
        return format_of_file(file, target[1], mime), FileIdentity.of(opened.status)


class _Existing(NamedTuple):
    """What goes in front of new members: pieces of a tar, or the members of a zip."""

    tar_pieces: Iterable[bytes] = ()
    zip_members: Iterable[NewMember] = ()


@contextlib.contextmanager
def _open_existing(
    folder: Folder,
    indexes: IndexCache,
    target: tuple[BucketName, str],
    archive_format: str,
    expected: FileIdentity | None,
) -> Iterator[_Existing]:
    """Keep the archive to append to open for the `with` block.

    It is read as the format that is written: members of another one would be lost.

    Raises:
        ChangedRefusal: It is not the expected one.
        Refusal: It cannot be opened, is of another format, or damaged.
    """
    opened = None if expected is None else _open_expected(folder, target, expected)
    if opened is None:
        yield _Existing()
        return
    with opened.file as file:
        index = indexes.load(file, opened.status, archive_format)
        if index.damage:
            url = f"{target[0].url}/{target[1]}"
            raise Refusal(400, f"{url}: cannot append: {index.damage}")
        reader = ArchiveReader(file, index)
        if index.format == ".zip":
            yield _Existing(zip_members=_members_of_zip(file, reader, index))
        else:
            yield _Existing(tar_pieces=reader.span(0, index.end_offset))


def _open_expected(
    folder: Folder, target: tuple[BucketName, str], expected: FileIdentity
) -> OpenObject | None:
    """Open an object that must still be the expected one; return None where that is NO_FILE."""
    opened, identity = None, NO_FILE
    try:
        opened = folder.open_object(*target)
        identity = FileIdentity.of(opened.status)
    except Refusal as refusal:
        if refusal.status != 404:
            raise
    if identity != expected:
        if opened is not None:
            opened.file.close()
        raise object_changed(f"{target[0].url}/{target[1]}")
    return opened


def _members_of_zip(file: io.FileIO, reader: ArchiveReader, index: Index) -> Iterator[NewMember]:
    """Yield the members of a zip with the times that its directory has, folders included."""
    with open_zip(file) as archive:
        infos = archive.infolist()
    for member, info in zip(index.members, infos, strict=True):
        yield NewMember(member.name, member.size_bytes, _mtime_s(info), reader.pieces(member))


def _mtime_s(info: zipfile.ZipInfo) -> int:
    try:
        return calendar.timegm(info.date_time)
    except ValueError:  # some programs write month 0
        return 0


def _read_upload(upload: Upload) -> Iterator[bytes]:
    with upload.read() as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
