"""TarIndex: where the members of a tar are, found by reading its headers alone.

To read a long payload costs more than a request. So a long payload is skipped, and the next header
is read by a range of its own. TarParser does not look at the bytes that it skips, so its buffer
counts as filled without having been.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NoReturn

import msgspec
from msgspec.structs import replace

from aisio.errors import (
    IntegrityError,
    ShardError,
    UrlError,
)
from aisio.formats.tar import BLOCK_BYTES, END, TarMember, TarParser
from aisio.records import ByteRange, ObjectInfo
from aisio.stores import Store
from aisio.transport.body import Body, read_with_retries
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl

__all__ = [
    "Span",
    "TarIndex",
    "check_same_tar",
    "read_index",
    "refuse_global_records",
    "walk_members",
    "without_dot_slash",
]

_SKIPPED_FROM_BYTES = 256 * 1024
"""Longer gaps between headers are skipped: a request costs about as much as reading so many."""

_FIRST_READ_BYTES = 64 * 1024
_MAX_READ_BYTES = 4 * 1024 * 1024


class Span(msgspec.Struct, frozen=True, gc=False):
    """Where the payload of a member is.

    Attributes:
        offset: Its first byte in the archive.
        size_bytes: Its size.
        mtime_s: Last change of the member, in seconds since 1970.
        unreadable_reason: Why it cannot be read; "" if it can.
        member_bytes: Of a sparse file: size of the whole member, which begins at `offset`, as its
            map is needed to read it; 0 for others.
    """

    offset: int
    size_bytes: int
    mtime_s: float
    unreadable_reason: str = ""
    member_bytes: int = 0


class TarIndex(msgspec.Struct, frozen=True):
    """The files of a tar.

    Attributes:
        info: What the store said of the archive before it was read.
        members: Name -> payload, in the order of the archive.
    """

    info: ObjectInfo
    members: dict[str, Span]


def read_index(store: Store, url: ObjectUrl, *, strict: bool = True) -> TarIndex:
    """Read the headers of a tar that is not compressed.

    The index has regular and sparse files, and hard links as the file that they link to.
    Directories, symbolic links, devices and FIFOs are left out. Files in a form that aisio does not
    read are in it with the reason. A leading "./" is no part of a name.

    Args:
        store: The store that has the archive.
        url: The archive.
        strict: Raise a ShardError for a name that comes twice, or that no URL can hold, such as one
            with "..", and for a hard link to no file before it. If false, such a file is in the
            index as one that cannot be read.

    Raises:
        NotFoundError: No such archive.
        ShardError: It is cut, damaged or no tar; or see `strict`.
        IntegrityError: It was replaced while it was read.
    """
    info = store.head(url.require_object())
    members: dict[str, Span] = {}
    parser = TarParser(str(url), allow_unreadable=True)
    sparse = ""  # the last member, if it is a sparse file, whose end is not known yet
    for member in walk_members(parser, store, url, info):
        if sparse:
            sparse = _end_sparse(members, sparse, member.offset)
        name = without_dot_slash(member.name)
        # One that is no file replaces a file of its name, as a second file does.
        if member.kind in ("file", "hardlink") or member.unreadable or name in members:
            try:
                _check_name(name, member, members, url)
                size_bytes = parser.sparse_bytes if member.kind == "sparse" else None
                if size_bytes is None:
                    members[name] = _span(member, members, url)
                else:
                    members[name] = Span(member.offset, size_bytes, member.mtime_s)
                    sparse = name
            except ShardError as error:
                if strict:
                    raise
                members[name] = Span(member.data_offset, 0, member.mtime_s, str(error))
    if sparse and parser.end_offset is not None:
        _end_sparse(members, sparse, parser.end_offset)
    return TarIndex(info, members)


def check_same_tar(store: Store, url: ObjectUrl, expected: ObjectInfo, now: ObjectInfo) -> None:
    """Compare what the store says of an archive with what it said when its headers were read.

    Raises:
        IntegrityError: It was replaced since.
    """
    if not store.is_same(url, expected, now):
        raise IntegrityError(
            f"GET {expected.url}: the tar was replaced since its headers were read: make the "
            f"source anew",
            url=expected.url,
        )


def walk_members(
    parser: TarParser, store: Store, url: ObjectUrl, info: ObjectInfo
) -> Iterator[TarMember]:
    """Yield the members of a tar that is not compressed; long payloads are not read.

    Args:
        parser: A new one. Behind the last member it knows where the archive ends.
        store: The store that has the archive.
        url: The archive.
        info: What the store says of it.

    Raises:
        ShardError: It is cut, damaged or no tar.
        IntegrityError: It was replaced while it was read.
    """
    size = info.size_bytes or 0
    fed = next_header = 0  # how many bytes the parser has; the offset of the next header
    window = _FIRST_READ_BYTES
    while (event := parser.next_event()) is not END:
        if isinstance(event, TarMember):
            parser.skip_payload()
            next_header = event.data_offset + event.size_bytes + -event.size_bytes % BLOCK_BYTES
            yield event
        elif fed == size:
            parser.finish()
        elif next_header - fed > _SKIPPED_FROM_BYTES:
            _skip(parser, min(next_header, size) - fed)
            fed, window = min(next_header, size), _FIRST_READ_BYTES
        else:
            # Small members are close together: read them whole, by few requests.
            stop = min(fed + window, size)
            parser.feed(_read(store, url, info, ByteRange(fed, stop)))
            fed, window = stop, min(2 * window, _MAX_READ_BYTES)


def refuse_global_records(parser: TarParser) -> None:
    """Refuse a tar whose members cannot be read by their own bytes alone.

    Raises:
        ShardError: It has a global PAX header that says something of them.
    """
    if parser.has_global_records:
        raise ShardError(
            f"{parser.url}: a global PAX header says something of all members, which is not in the"
            " bytes of each: repack the archive",
            url=parser.url,
        )


def _skip(parser: TarParser, count: int) -> None:
    """Have the parser skip bytes that were not read: it does not look at them."""
    while count:
        skipped = min(count, len(parser.get_buffer()))
        parser.buffer_updated(skipped)
        parser.next_event()
        count -= skipped


def _read(store: Store, url: ObjectUrl, info: ObjectInfo, span: ByteRange) -> bytes:
    def read(body: Body) -> bytes:
        check_same_tar(store, url, info, body.info)
        return body.readall()

    return read_with_retries(partial(store.get, url, span), read, Attempts(store.retry_policy))


def _end_sparse(members: dict[str, Span], name: str, stop: int) -> str:
    members[name] = replace(members[name], member_bytes=stop - members[name].offset)
    return ""


def _span(member: TarMember, members: dict[str, Span], url: ObjectUrl) -> Span:
    if member.kind != "hardlink":
        unreadable_reason = member.describe_unreadable() if member.unreadable else ""
        return Span(member.data_offset, member.size_bytes, member.mtime_s, unreadable_reason)
    target = members.get(without_dot_slash(member.link_name))
    if target is None:
        _refuse(url, member, f"is a hard link to {member.link_name!r}, which is not before it")
    return target


def without_dot_slash(name: str) -> str:
    """Return the name of a member without a leading "./", which is no part of it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _check_name(name: str, member: TarMember, members: dict[str, Span], url: ObjectUrl) -> None:
    try:
        url.with_name(f"{url.name}/{name}").require_object()
    except UrlError as error:
        _refuse(url, member, f"has a name that no URL can hold: {error}")
    if name in members:
        _refuse(url, member, "appears a second time: a name must stand for one file")


def _refuse(url: ObjectUrl, member: TarMember, why: str) -> NoReturn:
    raise ShardError(
        f"{url}: member {member.name!r} at byte {member.offset} {why}; repack the archive",
        url=str(url),
        offset=member.offset,
    )
