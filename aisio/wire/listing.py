"""Listings: the request for a page, the page as msgpack or JSON, and the flags of both.

Source:
    AIStore 5.0, api/apc/lsmsg.go, cmn/objlist.go and xact/xs/wi_lso.go; checked against a live
    cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from aisio.records import Checksum, ObjectInfo
from aisio.wire.decoding import decoding
from aisio.wire.http1 import http_seconds
from aisio.wire.messages import MSGPACK, action, parse_custom

CACHED = 1 << 0
MISSING = 1 << 1
ARCHIVES = 1 << 3
NAME_ONLY = 1 << 4
NAME_SIZE = 1 << 5
NOT_CACHED = 1 << 9
NO_RECURSION = 1 << 11
DIFF = 1 << 12
INVENTORY = 1 << 15
"""Flags of a request: what to list."""

LISTED_PROPS = ("name", "size", "checksum", "version", "atime", "custom", "location")
"""What a listing can say of an object that an ObjectInfo can hold. AIStore ignores other names."""

STATUS_MASK = 0b11111
IN_CLUSTER = 1 << 6
IN_ARCHIVE = 1 << 7
IS_DIRECTORY = 1 << 8
IS_ARCHIVE = 1 << 9
IN_PARTS = 1 << 13
"""Flags of an entry: what it is. The bits of the mask are its status, 0 if nothing is wrong."""

_COPY = 3
"""Status of a further copy of an object whose first one is in its place. Every other status but 0
means that the object is on the wrong target or disk; such entries need the flag MISSING."""


class PackedEntry(msgspec.Struct, omit_defaults=True, gc=False):
    """An object or folder of a page, by the names of msgpack.

    Attributes:
        n: Name.
        cs: Checksum, without its type.
        a: Time of the last read.
        v: Version.
        t: Location.
        m: Custom metadata.
        s: Size in bytes.
        c: Number of copies.
        f: Flags.
    """

    n: str
    cs: str = ""
    a: str = ""
    v: str = ""
    t: str = ""
    m: str = ""
    s: int = 0
    c: int = 0
    f: int = 0


class PackedPage(msgspec.Struct):
    """A page; AIStore always writes all fields, so that bytes without one are no page.

    Attributes:
        uuid: The listing's id.
        token: Continuation token for the next page; "" after the last.
        entries: In order.
        flags: Of the page.
    """

    uuid: str = msgspec.field(name="UUID")
    token: str = msgspec.field(name="ContinuationToken")
    entries: list[PackedEntry] | None = msgspec.field(name="Entries")
    flags: int = msgspec.field(name="Flags", default=0)


def list_message(
    *,
    prefix: str = "",
    props: str = "name,size",
    token: str = "",
    uuid: str = "",
    start_after: str = "",
    page_size: int = 0,
    recursive: bool = True,
) -> dict[str, Any]:
    """Return the message that requests one page of a listing.

    Args:
        prefix: Plain-string prefix of the names.
        props: Some of LISTED_PROPS, joined by commas.
        token: Continuation token of the previous page; "" for the first page.
        uuid: The listing's id, from the first page.
        start_after: List only names after this one; the server uses it for the first page only.
        page_size: Maximum number of entries; 0 for the server's own limit.
        recursive: False lists one level, with entries for its folders.
    """
    wanted = frozenset(props.split(","))
    flags = MISSING | (0 if recursive else NO_RECURSION)
    flags |= {frozenset({"name"}): NAME_ONLY, frozenset({"name", "size"}): NAME_SIZE}.get(wanted, 0)
    value: dict[str, Any] = {
        "props": props,
        "prefix": prefix,
        "continuation_token": token,
        "uuid": uuid,
        "flags": str(flags),
        "pagesize": page_size,
    }
    if start_after and not token:
        value["start_after"] = start_after
    return action("list", value)


class _JsonEntry(msgspec.Struct, gc=False):
    """The same as PackedEntry, by the names of JSON."""

    n: str = msgspec.field(name="name")
    cs: str = msgspec.field(name="checksum", default="")
    a: str = msgspec.field(name="atime", default="")
    v: str = msgspec.field(name="version", default="")
    t: str = msgspec.field(name="location", default="")
    m: str = msgspec.field(name="custom-md", default="")
    s: int = msgspec.field(name="size", default=0)
    f: int = msgspec.field(name="flags", default=0)


class _JsonPage(msgspec.Struct):
    uuid: str
    token: str = msgspec.field(name="continuation_token")
    entries: list[_JsonEntry] | None
    flags: int = 0


_Row: TypeAlias = "PackedEntry | _JsonEntry"

_packed_page = msgspec.msgpack.Decoder(PackedPage)
# AIStore writes 64-bit numbers as JSON strings; strict=False takes both spellings.
_json_page = msgspec.json.Decoder(_JsonPage, strict=False)


class Page(NamedTuple):
    """One page of a listing.

    Attributes:
        entries: Objects in order; folders end in "/". May be empty while the token is not.
        token: Continuation token for the next page; "" after the last.
        uuid: The listing's id.
        misplaced: Names that were found only on a wrong target or disk. During a rebalance these
            are objects like any other; at other times they are stale copies.
        is_rebalancing: Objects may be out of place: a target rebalances, or has not finished that.
    """

    entries: list[ObjectInfo]
    token: str
    uuid: str
    misplaced: frozenset[str] = frozenset()
    is_rebalancing: bool = False


def enclosing_range(prefix: str) -> tuple[str, str]:
    """Return the folder that holds all names with a prefix, and a text just before the first name.

    If a prefix is the name of a folder, AIStore lists only that folder: "train" lists train/a but
    not train-b (fs/walk.go of release 5.0, unless the cluster's feature flags say otherwise). A
    folder and a start have no such second meaning.
    """
    if not prefix or prefix.endswith("/"):
        return prefix, ""
    folder = prefix[: prefix.rfind("/") + 1]
    before = ord(prefix[-1]) - 1
    if before < ord(" ") or 0xD800 <= before < 0xE000:
        return folder, prefix[:-1]
    return folder, f"{prefix[:-1]}{chr(before)}{chr(0x10FFFF)}"


def parse_page(body: bytes, content_type: str, root: str, props: str) -> Page:
    """Parse one page of a listing, in msgpack or JSON.

    Args:
        body: The response's body.
        content_type: The response's Content-Type.
        root: URL of the bucket, for the entries.
        props: Those of the request: an entry without a size has 0 bytes only if they have "size".

    Raises:
        IntegrityError: The body is not a listing.
    """
    page: PackedPage | _JsonPage
    with decoding(f"listing {root}: the reply is not a page of a listing", root):
        is_packed = content_type.startswith(MSGPACK)
        page = _packed_page.decode(body) if is_packed else _json_page.decode(body)
    rows: Sequence[_Row] = page.entries or ()
    misplaced: frozenset[str] = frozenset()
    # A target that has just joined may list names that another one lists as well.
    if any(row.f & STATUS_MASK for row in rows) or len({row.n for row in rows}) < len(rows):
        rows, misplaced = _deduplicated(rows)
    has_sizes = "size" in props
    if props in ("name,size", "name"):
        entries = [ObjectInfo(root, row.n, row.s if has_sizes else None) for row in rows]
    else:
        entries = [_entry(root, row, has_sizes=has_sizes) for row in rows]
    return Page(entries, page.token, page.uuid, misplaced, bool(page.flags))


def _deduplicated(rows: Sequence[_Row]) -> tuple[list[_Row], frozenset[str]]:
    """Return one row for each name, and the names whose rows are all out of place."""
    chosen: dict[str, _Row] = {}
    for row in rows:
        if row.n not in chosen or _is_out_of_place(chosen[row.n]):
            chosen[row.n] = row
    misplaced = frozenset(name for name, row in chosen.items() if _is_out_of_place(row))
    return list(chosen.values()), misplaced


def _is_out_of_place(row: _Row) -> bool:
    return row.f & STATUS_MASK not in (0, _COPY)


def _entry(root: str, row: _Row, *, has_sizes: bool) -> ObjectInfo:
    return ObjectInfo(
        root,
        row.n,
        row.s if has_sizes else None,
        _listed_checksum(row.cs),
        row.v,
        mtime_s=http_seconds(row.a),
        custom=parse_custom(row.m) if row.m else {},
        location=row.t,
    )


_KINDS_BY_DIGITS = {8: "crc32c", 16: "xxhash2", 32: "md5", 64: "sha256", 128: "sha512"}


def _listed_checksum(value: str) -> Checksum | None:
    """Return a checksum; a listing has no types, but the number of digits distinguishes them."""
    kind = _KINDS_BY_DIGITS.get(len(value))
    return Checksum(kind, value) if kind else None
