"""Listings: the message that asks for a page, the page as msgpack or JSON, and their flags.

Source:
    AIStore 5.0, api/apc/lsmsg.go, cmn/objlist.go and xact/xs/wi_lso.go; checked against a live
    cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeAlias

import msgspec

from aisio.records import Checksum, ObjectInfo
from aisio.wire.decoding import decoding
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
"""These, of a request, say what to list."""

STATUS_MASK = 0b11111
IN_CLUSTER = 1 << 6
IN_ARCHIVE = 1 << 7
IS_DIRECTORY = 1 << 8
IS_ARCHIVE = 1 << 9
IN_PARTS = 1 << 13
"""These, of an entry, say what it is. Within the mask lies what is wrong with it, 0 for nothing."""

_COPY = 3
"""One more copy of an object whose first is where it belongs. All else that can be wrong is that
the node or the disk is not the one where the object belongs; such entries come by MISSING alone."""


class PackedEntry(msgspec.Struct, omit_defaults=True, gc=False):
    """An object or folder of a page.

    Attributes:
        n: Name.
        cs: Checksum, without its type.
        a: When it was read last.
        v: Version.
        t: Where it lies.
        m: Custom metadata.
        s: Size in bytes.
        c: How many copies there are.
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
    """A page; AIStore always writes all of it, so that what has less is no page.

    Attributes:
        uuid: The listing's id.
        token: What to send for the next page; "" after the last.
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
    """Return the message that asks for one page of a listing.

    Args:
        prefix: Plain-string prefix of the names.
        props: Comma-separated: name, size, checksum, version, atime, custom, ...
        token: Continuation token of the page before; "" for the first.
        uuid: The listing's id, as the first page gave it.
        start_after: Only names after this one; the server heeds it on the first page only.
        page_size: Most entries of the page; 0 for the server's own limit.
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
    """As PackedEntry, by its longer names."""

    n: str = msgspec.field(name="name")
    cs: str = msgspec.field(name="checksum", default="")
    a: str = msgspec.field(name="atime", default="")
    v: str = msgspec.field(name="version", default="")
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
        token: What to send for the next page; "" after the last.
        uuid: The listing's id.
        astray: Those names of which nothing was found where it belongs. While objects are moved
            these are objects like any other; else they are what was left behind.
        is_unsettled: Objects may be out of place: a node rebalances, or did not finish doing so.
    """

    entries: list[ObjectInfo]
    token: str
    uuid: str
    astray: frozenset[str] = frozenset()
    is_unsettled: bool = False


def enclosing_range(prefix: str) -> tuple[str, str]:
    """Return the folder that all names with a prefix are in, and a name just before the first.

    AIStore takes a prefix that is the name of a folder for the folder alone: "train" gives train/a
    and not train-b (fs/walk.go of release 5.0, unless the cluster's feature flags say otherwise). A
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
    """Read one page of a listing, in msgpack or JSON.

    Args:
        body: The reply's body.
        content_type: The reply's Content-Type.
        root: URL of the bucket, for the entries.
        props: As asked for: an entry's absent size means zero only where sizes were asked for.

    Raises:
        IntegrityError: The body is not a listing.
    """
    page: PackedPage | _JsonPage
    with decoding(f"listing {root}: the reply is not a page of a listing", root):
        is_packed = content_type.startswith(MSGPACK)
        page = _packed_page.decode(body) if is_packed else _json_page.decode(body)
    rows: Sequence[_Row] = page.entries or ()
    astray: frozenset[str] = frozenset()
    # A node that has just joined may list what the one before it has listed, as good as that.
    if any(row.f & STATUS_MASK for row in rows) or len({row.n for row in rows}) < len(rows):
        rows, astray = _each_once(rows)
    sized = "size" in props
    if props in ("name,size", "name"):
        entries = [ObjectInfo(root, row.n, row.s if sized else None) for row in rows]
    else:
        entries = [_entry(root, row, sized=sized) for row in rows]
    return Page(entries, page.token, page.uuid, astray, bool(page.flags))


def _each_once(rows: Sequence[_Row]) -> tuple[list[_Row], frozenset[str]]:
    """Return one row for each name, and the names that have none but rows out of place."""
    chosen: dict[str, _Row] = {}
    for row in rows:
        if row.n not in chosen or _is_out_of_place(chosen[row.n]):
            chosen[row.n] = row
    astray = frozenset(name for name, row in chosen.items() if _is_out_of_place(row))
    return list(chosen.values()), astray


def _is_out_of_place(row: _Row) -> bool:
    return row.f & STATUS_MASK not in (0, _COPY)


def _entry(root: str, row: _Row, *, sized: bool) -> ObjectInfo:
    return ObjectInfo(
        root,
        row.n,
        row.s if sized else None,
        _listed_checksum(row.cs),
        row.v,
        mtime_s=_listed_time(row.a),
        custom=parse_custom(row.m) if row.m else {},
    )


_KINDS_BY_DIGITS = {8: "crc32c", 16: "xxhash2", 32: "md5", 64: "sha256", 128: "sha512"}


def _listed_checksum(value: str) -> Checksum | None:
    """A listing gives the value without its type; the number of digits tells them apart."""
    kind = _KINDS_BY_DIGITS.get(len(value))
    return Checksum(kind, value) if kind else None


def _listed_time(text: str) -> float:
    if not text:
        return 0.0
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
