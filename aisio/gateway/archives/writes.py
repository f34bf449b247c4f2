"""Writing archives into a bucket: new ones, and members behind those of an old one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from aisio.gateway.archives.content import ArchiveReader, NewMember, pack
from aisio.gateway.archives.index import (
    Archives,
    Index,
    form_of_file,
    form_of_mime,
    form_of_name,
)
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import (
    ChangedRefusal,
    Folder,
    Present,
    changed,
)
from aisio.gateway.storage.pieces import PIECE_BYTES, gathered
from aisio.gateway.storage.uploads import Upload

NEW, APPEND, APPEND_OR_NEW = 0, 1, 2
"""What the header Ais-Pine says: a new archive; a member behind those there are; either."""

_MOST_TRIES = 10


def write_archive(
    folder: Folder,
    archives: Archives,
    target: tuple[BucketName, str],
    form: str,
    members: Iterable[NewMember],
    *,
    append_to: Present | None = None,
) -> int:
    """Store an archive, and return its size in bytes.

    Args:
        folder: The served folder.
        archives: What is known of its archives.
        target: Where it goes.
        form: One of the values of FORMS.
        members: What goes in; read one after the other.
        append_to: Put them behind what the archive there has, if there is one; this is what
            there was when that was decided. None makes a new archive.

    Raises:
        ChangedRefusal: There is something else by now.
        Refusal: No such bucket, or the archive there is damaged.
    """
    upload = folder.begin_upload(None)
    try:
        with contextlib.ExitStack() as stack:
            before = tuple[Iterable[bytes], Iterable[NewMember]](((), ()))
            if append_to is not None:
                before = _existing(stack, folder, archives, target, append_to)
            pieces = pack(form, chain(before[1], members), before=before[0])
            for piece in gathered(pieces):
                upload.write([piece])
        _, status = folder.finish_upload(upload, [], *target, instead_of=append_to)
    finally:
        upload.discard()
    return status.st_size


def put_member(
    folder: Folder,
    archives: Archives,
    target: tuple[BucketName, str],
    upload: Upload,
    *,
    path: str,
    mime: str,
    how: int,
) -> None:
    """Store an archive with one more member, whose payload is a finished upload.

    Where somebody else changes the archive meanwhile, it is read anew: nobody's change is lost.

    Args:
        folder: The served folder.
        archives: What is known of its archives.
        target: The archive.
        upload: The payload, whole and closed.
        path: The member's path.
        mime: The archive's form, where its name does not say it.
        how: NEW, APPEND or APPEND_OR_NEW.

    Raises:
        Refusal: No archive to append to, an unknown form, or a path no member can have.
    """
    path = path.lstrip("/")
    if not path or path.endswith("/"):
        raise Refusal(400, f'invalid archpath "{path}"')
    for _ in range(_MOST_TRIES - 1):
        with contextlib.suppress(ChangedRefusal):
            return _put_member(folder, archives, target, upload, path, mime, how)
    return _put_member(folder, archives, target, upload, path, mime, how)


def _put_member(
    folder: Folder,
    archives: Archives,
    target: tuple[BucketName, str],
    upload: Upload,
    path: str,
    mime: str,
    how: int,
) -> None:
    there = Present()
    try:
        opened = folder.open_object(*target)
    except Refusal as refusal:
        if how == APPEND or refusal.status != 404:
            raise
        form = form_of_new(target[1], mime)
    else:
        with opened.file as file:
            form = form_of_file(file, target[1], mime)
        there = Present.of(opened.status)
    member = NewMember(path, upload.size_bytes, 0, _pieces(upload))
    append_to = None if how == NEW else there
    write_archive(folder, archives, target, form, [member], append_to=append_to)


def form_of_new(name: str, mime: str) -> str:
    """Return the form that an archive to be made has.

    Raises:
        Refusal: The name does not say, or says another one than the client.
    """
    form, asked = form_of_name(name), form_of_mime(mime)
    if not form:
        ending = Path(name).suffix
        message = f'unknown filename extension ("{name}", "{ending}")'
        raise Refusal(400, message, tcode="errUnknownFileExt")
    if asked and asked != form:
        raise Refusal(400, f'mime mismatch "{mime}" vs "{form}"')
    return form


def _existing(
    stack: contextlib.ExitStack,
    folder: Folder,
    archives: Archives,
    target: tuple[BucketName, str],
    expected: Present,
) -> tuple[Iterable[bytes], Iterable[NewMember]]:
    """Return what the archive has: as raw tar, or for a zip as members."""
    try:
        opened = folder.open_object(*target)
    except Refusal as refusal:
        if refusal.status != 404:
            raise
        if expected != Present():
            raise changed(f"{target[0].url}/{target[1]}") from None
        return (), ()
    file = stack.enter_context(opened.file)
    if Present.of(opened.status) != expected:
        raise changed(f"{target[0].url}/{target[1]}")
    index = archives.index(file, opened.status, form_of_file(file, target[1]))
    if index.damage:
        raise Refusal(400, f"{target[0].url}/{target[1]}: cannot append: {index.damage}")
    reader = ArchiveReader(file, index)
    if index.form == ".zip":
        return (), _members(reader, index)
    return reader.span(0, index.end), ()


def _members(reader: ArchiveReader, index: Index) -> Iterator[NewMember]:
    for member in index.members:
        if not member.is_folder:
            yield NewMember(member.name, member.size_bytes, 0, reader.pieces(member))


def _pieces(upload: Upload) -> Iterator[bytes]:
    with upload.read() as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
