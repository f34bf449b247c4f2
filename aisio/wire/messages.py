"""Requests and replies of AIStore's HTTP API, without I/O.

Source: AIStore 5.0 (release v1.5.0), checked against a live cluster of that release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from aisio.errors import (
    AccessError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    RangeError,
    StorageError,
    ThrottledError,
    UnavailableError,
    UrlError,
)
from aisio.records import Checksum, ObjectInfo
from aisio.urls import Namespace, ObjectUrl
from aisio.wire.listing import NAME_ONLY, NAME_SIZE, NO_RECURSION, STATUS_MASK, PackedPage

MSGPACK = "application/msgpack"

CHECKSUM_TYPE = "Ais-Checksum-Type"
CHECKSUM_VALUE = "Ais-Checksum-Value"

_OBJECTS = "/v1/objects/"


def bucket_path(bucket: str) -> str:
    """Return the path of a bucket."""
    return f"/v1/buckets/{quote(bucket)}"


def object_path(url: ObjectUrl) -> str:
    """Return the path of an object, percent-encoded once."""
    return f"{_OBJECTS}{url.bucket}/{quote(url.name, safe='/')}"


def bucket_query(url: ObjectUrl) -> dict[str, str]:
    """Return the query parameters that every request about a bucket or object carries."""
    return dict(_bucket_query(url.provider, url.namespace))


@lru_cache(maxsize=256)
def _bucket_query(provider: str, namespace: Namespace) -> tuple[tuple[str, str], ...]:
    query = (("provider", provider),)
    return (*query, ("namespace", namespace_text(namespace))) if namespace else query


def namespace_text(namespace: Namespace) -> str:
    """Return the wire form `@cluster#name`, with both marks even where a part is empty."""
    return f"@{namespace.cluster}#{namespace.name}"


def action(name: str, value: Any = None) -> dict[str, Any]:
    """Return an action message, the JSON body of every control call."""
    return {"action": name, "name": "", "value": value}


def object_http_url(endpoint: str, url: ObjectUrl, etl_name: str | None = None) -> str:
    """Return the http URL from which anyone can GET the object."""
    query = bucket_query(url) | ({"etl_name": etl_name} if etl_name else {})
    text = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    return f"{endpoint}{object_path(url)}?{text}"


class HttpObject(NamedTuple):
    """What an http URL of an object says."""

    endpoint: str
    url: ObjectUrl
    etl_name: str | None


def is_object_http_url(text: str) -> bool:
    """Tell whether an URL has the form that `object_http_url` and the official client give it."""
    return text.startswith(("http://", "https://")) and urlsplit(text).path.startswith(_OBJECTS)


def parse_object_http_url(text: str) -> HttpObject:
    """Read an http URL as `object_http_url` and the official client make them.

    Raises:
        UrlError: It is not the URL of an AIStore object.
    """
    parts = urlsplit(text)
    bucket, _, name = unquote(parts.path.removeprefix(_OBJECTS)).partition("/")
    if not parts.path.startswith(_OBJECTS) or not bucket or not name:
        raise UrlError(
            f"{text!r} is not an AIStore object: expected http://host{_OBJECTS}bucket/name?provider=...",
            url=text,
        )
    query = dict(parse_qsl(parts.query))
    provider = query.get("provider", "ais")
    root = ObjectUrl.parse(f"{provider}://{bucket}")
    url = ObjectUrl(
        root.provider, bucket, name, Namespace.parse(query.get("namespace", "")), scheme=provider
    )
    return HttpObject(f"{parts.scheme}://{parts.netloc}", url, query.get("etl_name"))


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
    wanted = set(props.split(","))
    flags = {frozenset({"name"}): NAME_ONLY, frozenset({"name", "size"}): NAME_SIZE}.get(
        frozenset(wanted), 0
    )
    value: dict[str, Any] = {
        "props": props,
        "prefix": prefix,
        "continuation_token": token,
        "uuid": uuid,
        "flags": str(flags | (0 if recursive else NO_RECURSION)),
        "pagesize": page_size,
    }
    if start_after and not token:
        value["start_after"] = start_after
    return action("list", value)


class _JsonEntry(msgspec.Struct, gc=False):
    name: str
    size: int = 0
    checksum: str = ""
    version: str = ""
    atime: str = ""
    custom: str = msgspec.field(default="", name="custom-md")
    flags: int = 0


class _JsonPage(msgspec.Struct):
    uuid: str = ""
    continuation_token: str = ""
    entries: list[_JsonEntry] | None = None


_packed_page = msgspec.msgpack.Decoder(PackedPage)
# AIStore writes 64-bit numbers as JSON strings; strict=False takes both spellings.
_json_page = msgspec.json.Decoder(_JsonPage, strict=False)


class Page(NamedTuple):
    """One page of a listing.

    Attributes:
        entries: Objects in order; folders end in "/". May be empty while the token is not.
        token: What to send for the next page; "" after the last.
        uuid: The listing's id.
    """

    entries: list[ObjectInfo]
    token: str
    uuid: str


def enclosing_range(prefix: str) -> tuple[str, str]:
    """Return the folder that all names with a prefix are in, and a name just before the first.

    AIStore takes a prefix that is the name of a folder for the folder alone: "train" gives train/a
    and not train-b (fs/walk.go of release 5.0, unless the cluster's feature flags say otherwise). A
    folder and a start have no such second meaning.
    """
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
    sized = "size" in props
    try:
        if content_type.startswith(MSGPACK):
            packed = _packed_page.decode(body)
            rows = packed.entries or []
            if props in ("name,size", "name"):
                entries = [
                    ObjectInfo(root, row.n, row.s if sized else None)
                    for row in rows
                    if not row.f & STATUS_MASK
                ]
            else:
                entries = [
                    _entry(root, row.n, row.s if sized else None, row.cs, row.v, row.a, row.m)
                    for row in rows
                    if not row.f & STATUS_MASK
                ]
            return Page(entries, packed.token, packed.uuid)
        page = _json_page.decode(body)
    except msgspec.DecodeError as error:
        raise IntegrityError(
            f"listing {root}: the reply is not a page of a listing: {error}", url=root
        ) from error
    entries = [
        _entry(
            root,
            row.name,
            row.size if sized else None,
            row.checksum,
            row.version,
            row.atime,
            row.custom,
        )
        for row in page.entries or []
        if not row.flags & STATUS_MASK
    ]
    return Page(entries, page.continuation_token, page.uuid)


def _entry(
    root: str, name: str, size: int | None, checksum: str, version: str, atime: str, custom: str
) -> ObjectInfo:
    return ObjectInfo(
        root,
        name,
        size,
        _listed_checksum(checksum),
        version,
        mtime_s=_listed_time(atime),
        custom=parse_custom(custom) if custom else {},
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
    except ValueError:
        return 0.0


def parse_object_headers(headers: Mapping[str, str], url: ObjectUrl) -> ObjectInfo:
    """Read what the headers of a GET or HEAD reply say of the whole object."""
    get = headers.get
    size = _total_size(get("Content-Range"), get("Content-Length"))
    kind, value = get(CHECKSUM_TYPE), get(CHECKSUM_VALUE)
    custom = get("Ais-Custom-Md")
    return ObjectInfo(
        url.root,
        url.name,
        size,
        Checksum(kind, value) if kind and value and kind != "none" else None,
        get("Ais-Version") or "",
        (get("ETag") or "").strip('"'),
        _nanoseconds(get("Ais-Atime")) / 1e9,
        parse_custom(custom) if custom else {},
    )


def sums_ranges(headers: Mapping[str, str]) -> bool:
    """Read from the reply to a HEAD of a bucket whether a range's checksum is its own.

    Raises:
        IntegrityError: The reply holds no properties.
    """
    try:
        props = json.loads(headers["Ais-Bucket-Props"])
        return bool(props["checksum"]["enable_read_range"])
    except (ValueError, KeyError, TypeError):
        raise IntegrityError("the reply to HEAD of a bucket tells no properties") from None


def _nanoseconds(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _total_size(content_range: str | None, content_length: str | None) -> int | None:
    if content_range:
        total = content_range.rpartition("/")[2]
        return int(total) if total.isdecimal() else None
    return int(content_length) if content_length and content_length.isdecimal() else None


def parse_token(body: bytes) -> str:
    """Read the reply of AuthN to a login.

    Raises:
        IntegrityError: There is no token in it.
    """
    try:
        return str(json.loads(body)["token"])
    except (ValueError, KeyError, TypeError):
        raise IntegrityError("AuthN's reply to the login holds no token") from None


def parse_custom(text: str) -> dict[str, str]:
    """Read custom metadata in either of AIStore's forms.

    Args:
        text: `k=v, k=v` as repeated headers are joined, or `[k:v k:v]` as listings have it. What
            looks like no pair belongs to the value before: a value may hold a comma or a blank.

    Source:
        cmn/objlist_utils.go of AIStore 5.0 for listings; headers as seen on a live cluster.
    """
    listed = text.startswith("[") and text.endswith("]")
    if listed:
        text = text[1:-1]
    pairs = _LISTED_PAIR if listed else _HEADER_PAIR
    return {match["key"]: match["value"] for match in pairs.finditer(text)}


_HEADER_PAIR = re.compile(r"(?P<key>[^\s=,]+)=(?P<value>.*?)(?=,\s*[^\s=,]+=|$)")
# A key begins with a letter, so that a time of day stays within its value.
_LISTED_PAIR = re.compile(r"(?P<key>[^\W\d][^\s:]*):(?P<value>.*?)(?=\s[^\W\d][^\s:]*:|$)")


def parse_content_range(text: str | None) -> tuple[int, int] | None:
    """Return (first byte, one past the last) of a Content-Range, or None if it is not one.

    Source:
        RFC 9110, section 14.4.
    """
    unit, _, rest = (text or "").partition(" ")
    first, dash, last = rest.partition("/")[0].partition("-")
    if unit != "bytes" or not dash or not first.isdecimal() or not last.isdecimal():
        return None
    return int(first), int(last) + 1


def parse_buckets(body: bytes) -> Iterator[ObjectUrl]:
    """Read the reply to a listing of buckets.

    Raises:
        IntegrityError: The body is not such a reply.
    """
    try:
        rows = json.loads(body) or []
        for row in rows:
            space = row.get("namespace") or {}
            namespace = Namespace(space.get("uuid", ""), space.get("name", ""))
            yield ObjectUrl(row.get("provider") or "ais", row["name"], "", namespace)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"listing buckets: the reply is not a list of buckets: {error!r}"
        ) from error


_STATUS_ERRORS: Mapping[int, type[StorageError]] = {
    401: AccessError,
    403: AccessError,
    404: NotFoundError,
    409: ConflictError,
    416: RangeError,
    423: ConflictError,
    429: ThrottledError,
    # Of the 5xx, these do not pass by themselves.
    501: StorageError,
    505: StorageError,
    507: StorageError,
}

_HINTS: Mapping[int, str] = {
    401: "pass a valid token, or set AIS_AUTHN_TOKEN",
    403: "this token may not do that",
    507: "the store is out of space",
}


def error_for(
    status: int, text: str, *, operation: str, url: str, retry_after_s: float | None = None
) -> StorageError:
    """Build the error that a reply stands for; the status alone chooses its class.

    Args:
        status: HTTP status code.
        text: The reply's body, or for HEAD its Hdr-Error header.
        operation: What was tried, as in "GET".
        url: The object or bucket it was tried on.
        retry_after_s: Seconds to wait, as the reply asked.
    """
    kind = _STATUS_ERRORS.get(status, UnavailableError if status >= 500 else StorageError)
    reason = _error_message(text)
    hint = _HINTS.get(status)
    message = (
        f"{operation} {url}: {status}"
        + (f" {reason}" if reason else "")
        + (f"; {hint}" if hint else "")
    )
    return kind(message, url=url, status=status, retry_after_s=retry_after_s)


def _error_message(text: str) -> str:
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text
    return " ".join(str(message).split())[:300]
