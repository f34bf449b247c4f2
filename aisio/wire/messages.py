"""Requests and responses of AIStore's HTTP API, without I/O.

Source: AIStore 5.0 (release v1.5.0), checked against a live cluster of that release.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
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
from aisio.wire.decoding import DECODE_ERRORS, decoding
from aisio.wire.http1 import ResponseHeaders, utf8_text, whole_number

MSGPACK = "application/msgpack"

CHECKSUM_TYPE = "ais-checksum-type"
CHECKSUM_VALUE = "ais-checksum-value"
_CUSTOM = "ais-custom-md"

_OBJECTS = "/v1/objects/"
_UPLOAD_ID = re.compile(rb"[\x21-\x7e]{1,1024}")
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_.~/-]*")


def bucket_path(bucket: str) -> str:
    """Return the path of a bucket."""
    return f"/v1/buckets/{quote(bucket)}"


def object_path(url: ObjectUrl) -> str:
    """Return the path of an object, percent-encoded once."""
    name = url.name
    if not _NEEDS_NO_QUOTES.fullmatch(name):  # `quote` would take 2 us of each read
        name = quote(name, safe="/")
    return f"{_OBJECTS}{url.bucket}/{name}"


def bucket_query(url: ObjectUrl) -> MappingProxyType[str, str]:
    """Return the query parameters of every request about a bucket or object."""
    return _bucket_query(url.provider, url.namespace)


@lru_cache(maxsize=256)
def _bucket_query(provider: str, namespace: Namespace) -> MappingProxyType[str, str]:
    query = {"provider": provider}
    if namespace:
        query["namespace"] = namespace_text(namespace)
    return MappingProxyType(query)


def namespace_text(namespace: Namespace) -> str:
    """Return the wire form `@cluster#name`, with both marks even if a part is empty."""
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
    """The parts of the http URL of an object."""

    endpoint: str
    url: ObjectUrl
    etl_name: str | None


def is_object_http_url(text: str) -> bool:
    """Tell whether a text has the form of the URLs of `object_http_url` and the official client."""
    if not text.startswith(("http://", "https://")):
        return False
    try:
        return urlsplit(text).path.startswith(_OBJECTS)
    except ValueError:
        return False


def parse_object_http_url(text: str) -> HttpObject:
    """Parse an http URL that `object_http_url` or the official client has made.

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
    """Return what the headers of a response to GET or HEAD say about the whole object."""
    get = headers.get_lower if isinstance(headers, ResponseHeaders) else headers.get
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


def parse_upload_id(body: bytes, about: str) -> str:
    """Return the id in the response that begins a multipart upload.

    Args:
        body: The response's body.
        about: The object, for errors.

    Raises:
        IntegrityError: It is no id.
    """
    if not _UPLOAD_ID.fullmatch(body.strip()):
        raise IntegrityError(
            f"POST {about}: the answer is no id of an upload; is it an AIStore endpoint?", url=about
        )
    return body.strip().decode("ascii")


class ChecksumProps(NamedTuple):
    """The properties of a bucket that concern checksums.

    Attributes:
        kind: The type of checksums; "none" for none.
        of_ranges: The response for a range has the checksum of the range, not of the object.
    """

    kind: str
    of_ranges: bool


def parse_checksum_props(headers: Mapping[str, str]) -> ChecksumProps:
    """Parse the properties about checksums in the response to a HEAD of a bucket.

    Raises:
        IntegrityError: The response has no properties.
    """
    with decoding("the reply to HEAD of a bucket has no properties"):
        props = json.loads(headers["Ais-Bucket-Props"])["checksum"]
        return ChecksumProps(str(props.get("type", "")), bool(props["enable_read_range"]))


def parse_token(body: bytes) -> str:
    """Return the token in AuthN's response to a login.

    Raises:
        IntegrityError: The response has no token.
    """
    try:
        token = str(json.loads(body)["token"])
    except DECODE_ERRORS:
        # No cause is chained: a decoder's error may quote the response.
        raise IntegrityError("AuthN's reply to the login holds no token") from None
    if not is_sendable_token(token):
        raise IntegrityError("AuthN's reply to the login holds a token that no header can carry")
    return token


def _custom_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return an object's custom metadata: each item is a header `key=value`, in UTF-8.

    Source:
        cmn/objattrs.go of AIStore 5.0.
    """
    getlist = getattr(headers, "getlist", None)
    values: list[str] = getlist(_CUSTOM) if getlist else [headers[_CUSTOM]]
    pairs = (utf8_text(value).partition("=") for value in values)
    return {key: value for key, _, value in pairs if key}


def parse_custom(text: str) -> dict[str, str]:
    """Parse custom metadata in the form of listings.

    Args:
        text: `[k:v k:v]`. A value may hold blanks and line breaks: text that does not begin a pair
            belongs to the previous value.

    Source:
        cmn/objlist_utils.go of AIStore 5.0.
    """
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    keys = list(_LISTED_KEY.finditer(text))
    stops = [*(key.start() for key in keys[1:]), len(text)]
    return {key[1]: text[key.end() : stop] for key, stop in zip(keys, stops, strict=False)}


# A key begins with a letter, so that a time of day belongs to its value. The pattern matches a text
# in one way only: a pattern for key and value together took quadratic time.
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
    """Parse the response to a listing of buckets.

    Raises:
        IntegrityError: The body is not such a response.
    """
    with decoding("listing buckets: the reply is not a list of buckets"):
        rows = msgspec.json.decode(body, type=list[_BucketRow] | None) or []
    for row in rows:
        space = row.namespace or _Space()
        namespace = Namespace(space.uuid, space.name)
        yield ObjectUrl(row.provider or "ais", row.name, "", namespace)


def parse_running_jobs(body: bytes, about: str) -> frozenset[str]:
    """Return the kinds of the running jobs.

    Args:
        body: The body of the response.
        about: What the request was for, for errors.

    Raises:
        IntegrityError: The body is not such a response.
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
    # These of the 5xx are permanent: a retry does not help.
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


_TEMPORARY: Mapping[int, re.Pattern[str]] = {
    400: re.compile(r"failed to call [pt]\[|: Smap v0\b|no storage targets in the cluster"),
    401: re.compile(
        r"node signature verification failed|missing signature \["
        r"|invalid signature (length|encoding)|cannot verify request: |: no verifying key"
    ),
}
"""Refusals that are temporary, like a 503, by their texts (seen on a live cluster of AIStore 5.0).

400: the proxy cannot reach a node, or a node or the proxy itself has just begun to join.
401: a target cannot verify the signature of a redirect. The proxy was restarted, and the target
does not have its new key yet; a new redirect will be right. No token makes it right."""


_NEEDS_HTTPS = "Client sent an HTTP request to an HTTPS server."
"""The text of a 400 of AIStore, and of any other server in Go."""


_CODE_ERRORS: Mapping[tuple[int, object], type[StorageError]] = {
    (400, "ErrMv"): ConflictError,
    (500, "ErrLmetaNotFound"): NotFoundError,
}
"""Statuses of AIStore 5.0 that only the code in the body explains.

ErrMv: an object is to be stored where names below it exist, or below another object.
ErrLmetaNotFound: the GET of a name that is also a folder of other names on the same disk, to whose
HEAD the answer is 404. AIStore's own code, cmn/err.go, counts it as "not found", too."""


def error_for(
    status: int, text: str, *, operation: str, url: str, retry_after_s: float | None = None
) -> StorageError:
    """Return the error for the status of a response.

    The status determines its class; for a 400 or 401 the text does too, and for a 400 or 500 the
    code in it.

    Args:
        status: HTTP status code.
        text: The response's body, or for HEAD its header Hdr-Error.
        operation: The operation that failed, as in "GET".
        url: The object or bucket.
        retry_after_s: Seconds to wait, from the response.
    """
    code, reason = _code_and_message(text)
    kind = _STATUS_ERRORS.get(status, UnavailableError if 500 <= status < 600 else StorageError)
    hint = _HINTS.get(status)
    if status in _TEMPORARY and _TEMPORARY[status].search(reason):
        kind, hint = UnavailableError, None
    elif reason == _NEEDS_HTTPS:
        hint = "the endpoint's URL must begin with https://"
    kind = _CODE_ERRORS.get((status, code), kind)
    message = (
        f"{operation} {url}: {status}"
        + (f" {reason}" if reason else "")
        + (f"; {hint}" if hint else "")
    )
    return kind(message, url=url, status=status, retry_after_s=retry_after_s)


def _code_and_message(text: str) -> tuple[str, str]:
    code, message = "", text
    with suppress(*DECODE_ERRORS):
        error = json.loads(text)
        message = error["message"]
        code = error.get("tcode", "")
    return code, " ".join(str(message).split())[:300]
