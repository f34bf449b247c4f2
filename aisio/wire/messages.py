"""Requests and replies of AIStore's HTTP API, without I/O.

Source: AIStore 5.0 (release v1.5.0), checked against a live cluster of that release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
from aisio.records import Checksum, ObjectInfo, is_sendable_token
from aisio.urls import Namespace, ObjectUrl, is_base_url
from aisio.wire.decoding import UNREADABLE, decoding
from aisio.wire.http1 import ReplyHeaders, utf8_text, whole_number

MSGPACK = "application/msgpack"

CHECKSUM_TYPE = "ais-checksum-type"
CHECKSUM_VALUE = "ais-checksum-value"
_CUSTOM = "ais-custom-md"

_OBJECTS = "/v1/objects/"
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_.~/-]*")


def bucket_path(bucket: str) -> str:
    """Return the path of a bucket."""
    return f"/v1/buckets/{quote(bucket)}"


def object_path(url: ObjectUrl) -> str:
    """Return the path of an object, percent-encoded once."""
    name = url.name
    if not _NEEDS_NO_QUOTES.fullmatch(name):  # `quote` alone takes 2 us of each read
        name = quote(name, safe="/")
    return f"{_OBJECTS}{url.bucket}/{name}"


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
    if not text.startswith(("http://", "https://")):
        return False
    try:
        return urlsplit(text).path.startswith(_OBJECTS)
    except ValueError:
        return False


def parse_object_http_url(text: str) -> HttpObject:
    """Read an http URL as `object_http_url` and the official client make them.

    Raises:
        UrlError: It is not the URL of an AIStore object.
    """
    try:
        parts = urlsplit(text)
        endpoint = f"{parts.scheme}://{parts.netloc}"
        bucket, _, name = unquote(parts.path.removeprefix(_OBJECTS)).partition("/")
    except ValueError as error:
        raise UrlError(f"{text!r} is not a URL: {error}", url=text) from error
    if "@" in parts.netloc:
        raise UrlError(f"{text!r} holds a user name or password: set AIS_AUTHN_TOKEN", url=text)
    if not parts.path.startswith(_OBJECTS) or not bucket or not name or not is_base_url(endpoint):
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
    return HttpObject(endpoint, url, query.get("etl_name"))


def parse_object_headers(headers: Mapping[str, str], url: ObjectUrl) -> ObjectInfo:
    """Read what the headers of a GET or HEAD reply, by any spelling, say of the whole object."""
    get = headers.get_lower if isinstance(headers, ReplyHeaders) else headers.get
    content_range = get("content-range")
    size = whole_number(
        content_range.rpartition("/")[2] if content_range else get("content-length")
    )
    kind, value = get(CHECKSUM_TYPE), get(CHECKSUM_VALUE)
    custom = get(_CUSTOM)
    return ObjectInfo(
        url.root,
        url.name,
        size,
        None if kind == "none" or not (kind or value) else Checksum(kind or "", value or ""),
        get("ais-version") or "",
        (get("etag") or "").strip('"'),
        (whole_number(get("ais-atime")) or 0) / 1e9,
        _custom_of(headers) if custom else {},
    )


class ChecksumProps(NamedTuple):
    """What a bucket is told of checksums.

    Attributes:
        kind: The type of those it computes; "none" for none.
        of_ranges: A range's checksum is its own, not the object's.
    """

    kind: str
    of_ranges: bool


def parse_checksum_props(headers: Mapping[str, str]) -> ChecksumProps:
    """Read from the reply to a HEAD of a bucket what it is told of checksums.

    Raises:
        IntegrityError: The reply holds no properties.
    """
    with decoding("the reply to HEAD of a bucket tells no properties"):
        props = json.loads(headers["Ais-Bucket-Props"])["checksum"]
        return ChecksumProps(str(props.get("type", "")), bool(props["enable_read_range"]))


def parse_token(body: bytes) -> str:
    """Read the reply of AuthN to a login.

    Raises:
        IntegrityError: There is no token in it.
    """
    try:
        token = str(json.loads(body)["token"])
    except UNREADABLE:
        # Without the cause: a decoder's error may quote what it was given.
        raise IntegrityError("AuthN's reply to the login holds no token") from None
    if not is_sendable_token(token):
        raise IntegrityError("AuthN's reply to the login holds a token that no header can carry")
    return token


def _custom_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Read custom metadata from a reply: `key=value`, a header for each, in UTF-8.

    Source:
        cmn/objattrs.go of AIStore 5.0.
    """
    getlist = getattr(headers, "getlist", None)
    values: list[str] = getlist(_CUSTOM) if getlist else [headers[_CUSTOM]]
    pairs = (utf8_text(value).partition("=") for value in values)
    return {key: value for key, _, value in pairs if key}


def parse_custom(text: str) -> dict[str, str]:
    """Read custom metadata as listings have it.

    Args:
        text: `[k:v k:v]`. What looks like no pair belongs to the value before: a value may hold a
            blank or a line break.

    Source:
        cmn/objlist_utils.go of AIStore 5.0.
    """
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    keys = list(_LISTED_KEY.finditer(text))
    stops = [*(key.start() for key in keys[1:]), len(text)]
    return {key[1]: text[key.end() : stop] for key, stop in zip(keys, stops, strict=False)}


# A key begins with a letter, so that a time of day stays within its value. No two ways lead through
# it: a pattern for key and value together took the square of the text's length.
_LISTED_KEY = re.compile(r"(?:^| )([^\W\d][^\s:]*):")


def parse_content_range(text: str | None) -> tuple[int, int] | None:
    """Return (first byte, one past the last) of a Content-Range, or None if it is not one.

    Source:
        RFC 9110, section 14.4.
    """
    unit, _, rest = (text or "").partition(" ")
    first_text, _, last_text = rest.partition("/")[0].partition("-")
    first, last = whole_number(first_text), whole_number(last_text)
    if unit != "bytes" or first is None or last is None:
        return None
    return first, last + 1


class _Space(msgspec.Struct):
    uuid: str = ""
    name: str = ""


class _BucketRow(msgspec.Struct):
    name: str
    provider: str = ""
    namespace: _Space | None = None


def parse_buckets(body: bytes) -> Iterator[ObjectUrl]:
    """Read the reply to a listing of buckets.

    Raises:
        IntegrityError: The body is not such a reply.
    """
    with decoding("listing buckets: the reply is not a list of buckets"):
        rows = msgspec.json.decode(body, type=list[_BucketRow] | None) or []
    for row in rows:
        space = row.namespace or _Space()
        namespace = Namespace(space.uuid, space.name)
        yield ObjectUrl(row.provider or "ais", row.name, "", namespace)


def parse_running(body: bytes, about: str) -> frozenset[str]:
    """Read the reply to "which jobs run": their kinds.

    Args:
        body: The reply's body.
        about: What it was asked for, for errors.

    Raises:
        IntegrityError: The body is not such a reply.
    """
    with decoding(f"{about}: the reply is not a list of running jobs"):
        jobs = msgspec.json.decode(body, type=list[str] | None) or []
    return frozenset(job.partition("[")[0] for job in jobs)


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
    403: "this token, or a request without one, may not do that",
    407: "the HTTP proxy asks for a user name and password: HTTP_PROXY=http://user:password@host",
    507: "the store is out of space",
}


_NODE_TROUBLE = re.compile(r"failed to call [pt]\[|: Smap v0\b|no storage targets in the cluster")
"""AIStore 5.0 answers 400 where the proxy could not reach a node, where a node has just begun to
join, and where the proxy has (seen on a live cluster). All of this passes, as a 503 does."""


_NO_SUCH_OBJECT = "ErrLmetaNotFound"
"""AIStore 5.0 answers 500 and this code to the GET of a name that is a folder of other names, where
both lie on one disk; to a HEAD 404. Its own code, cmn/err.go, takes it for "not found", too."""


def error_for(
    status: int, text: str, *, operation: str, url: str, retry_after_s: float | None = None
) -> StorageError:
    """Build the error that a reply stands for.

    The status chooses its class; of a 400 the text too, and of a 500 the code in it.

    Args:
        status: HTTP status code.
        text: The reply's body, or for HEAD its Hdr-Error header.
        operation: What was tried, as in "GET".
        url: The object or bucket it was tried on.
        retry_after_s: Seconds to wait, as the reply asked.
    """
    code, reason = _code_and_message(text)
    may_pass = 500 <= status < 600 or (status == 400 and _NODE_TROUBLE.search(reason))
    kind = _STATUS_ERRORS.get(status, UnavailableError if may_pass else StorageError)
    if status == 500 and code == _NO_SUCH_OBJECT:
        kind = NotFoundError
    hint = _HINTS.get(status)
    message = (
        f"{operation} {url}: {status}"
        + (f" {reason}" if reason else "")
        + (f"; {hint}" if hint else "")
    )
    return kind(message, url=url, status=status, retry_after_s=retry_after_s)


def _code_and_message(text: str) -> tuple[str, str]:
    code, message = "", text
    with suppress(*UNREADABLE):
        told = json.loads(text)
        message = told["message"]
        code = told.get("tcode", "")
    return code, " ".join(str(message).split())[:300]
