"""Where the members of a tar stand: its headers are read, and the payloads of large members not.

A payload that is longer than a request is worth is passed over: the next header is asked for by its
own range. TarParser does not look at bytes that it skips, so it is only told of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import msgspec

from aisio.errors import (
    IntegrityError,
    ShardError,
    StoreTimeoutError,
    TruncatedError,
    UnavailableError,
    UrlError,
)
from aisio.formats.tar import (
    BLOCK_BYTES,
    END,
    TarMember,
    TarParser,
)
from aisio.records import ByteRange, ObjectInfo
from aisio.stores import Store
from aisio.transport.retries import Attempts
from aisio.urls import ObjectUrl

__all__ = ["Span", "TarIndex", "check_same_tar", "read_index"]

_NEAR_BYTES = 256 * 1024  # a request costs about as much as reading them
_FIRST_BYTES = 64 * 1024
_MOST_BYTES = 4 * 1024 * 1024


class Span(msgspec.Struct, frozen=True, gc=False):
    """Where a member's payload stands.

    Attributes:
        offset: Its first byte in the archive.
        size_bytes: Its size.
        mtime_s: Last change in seconds since 1970.
        refusal: Why it cannot be read; "" where it can.
    """

    offset: int
    size_bytes: int
    mtime_s: float
    refusal: str = ""


class TarIndex(msgspec.Struct, frozen=True):
    """The files of a tar.

    Attributes:
        info: The archive, as it was when it was read.
        members: Name -> place of the payload, in the order of the archive.
    """

    info: ObjectInfo
    members: dict[str, Span]


def read_index(store: Store, url: ObjectUrl) -> TarIndex:
    """Read the headers of a tar that is not compressed.

    Regular files count, and hard links as the file that they stand for. Directories, symbolic
    links, devices and FIFOs are passed over. Files in a form that is not read, as sparse ones, are
    there and say why they cannot be read. A leading "./" belongs to no name.

    Args:
        store: Where it is.
        url: The archive.

    Raises:
        NotFoundError: There is none.
        ShardError: It is cut, damaged or no tar; has a name twice; or a name that no URL can hold,
            as one with "..".
        IntegrityError: It was replaced while it was read.
    """
    info = store.head(url.require_object())
    members: dict[str, Span] = {}
    for member in _walk(store, url, info):
        if member.kind in ("file", "hardlink") or member.unreadable:
            name = _name(member, url)
            if name in members:
                _refuse(url, member, "is there a second time: a name must stand for one file")
            members[name] = _span(member, members, url)
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


def _walk(store: Store, url: ObjectUrl, info: ObjectInfo) -> Iterator[TarMember]:
    parser = TarParser(str(url), give_unreadable=True)
    size = info.size_bytes or 0
    given = wanted = 0  # bytes that the parser has; where the next header stands
    window = _FIRST_BYTES
    while (event := parser.next_event()) is not END:
        if isinstance(event, TarMember):
            parser.skip_payload()
            wanted = event.data_offset + event.size_bytes + -event.size_bytes % BLOCK_BYTES
            yield event
        elif given == size:
            parser.finish()
        elif wanted - given > _NEAR_BYTES:
            _pass_over(parser, min(wanted, size) - given)
            given, window = min(wanted, size), _FIRST_BYTES
        else:
            # Small members stand close together: then all is read, by few requests.
            stop = min(given + window, size)
            parser.feed(_read(store, url, info, ByteRange(given, stop)))
            given, window = stop, min(2 * window, _MOST_BYTES)


def _pass_over(parser: TarParser, count: int) -> None:
    """Tell the parser of bytes that it will skip, without having them."""
    while count:
        told = min(count, len(parser.get_buffer()))
        parser.buffer_updated(told)
        parser.next_event()
        count -= told


def _read(store: Store, url: ObjectUrl, info: ObjectInfo, span: ByteRange) -> bytes:
    attempts = Attempts(store.retry_policy)
    while True:
        body = store.get(url, span)
        try:
            with body:
                check_same_tar(store, url, info, body.info)
                return body.readall()
        except (TruncatedError, UnavailableError, StoreTimeoutError) as error:
            attempts.failed(error)


def _span(member: TarMember, members: dict[str, Span], url: ObjectUrl) -> Span:
    if member.kind != "hardlink":
        refusal = member.describe_unreadable() if member.unreadable else ""
        return Span(member.data_offset, member.size_bytes, member.mtime_s, refusal)
    target = members.get(_relative(member.link_name))
    if target is None:
        _refuse(url, member, f"is a hard link to {member.link_name!r}, which is not before it")
    return target


def _relative(name: str) -> str:
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _name(member: TarMember, url: ObjectUrl) -> str:
    name = _relative(member.name)
    try:
        url.with_name(f"{url.name}/{name}").require_object()
    except UrlError as error:
        _refuse(url, member, f"has a name that no URL can hold: {error}")
    return name


def _refuse(url: ObjectUrl, member: TarMember, why: str) -> NoReturn:
    raise ShardError(
        f"{url}: member {member.name!r} at byte {member.offset} {why}; repack the archive",
        url=str(url),
        offset=member.offset,
    )
