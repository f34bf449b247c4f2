"""ETags, dates and metadata of objects, as S3 and AIStore's /s3 write them. Pure."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from aisio.gateway.http.object_headers import etag, one_line
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.storage.records import Record

_META = "x-amz-meta-"
_CHECKSUM_TYPE, _CHECKSUM_VALUE = "X-Amz-Meta-Ais-Cksum-Type", "X-Amz-Meta-Ais-Cksum-Val"
_ADDED = frozenset({_CHECKSUM_TYPE.lower(), _CHECKSUM_VALUE.lower()})
_KEPT = {
    name.lower(): name
    for name in (
        *("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language"),
        *("Content-Type", "Expires"),
    )
}
"""Headers of an upload that responses repeat, by their names in lower case."""

_DEFAULT_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_OVERRIDES = {f"response-{name}": original for name, original in _KEPT.items()}


def custom_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what of the headers of an upload is kept, as custom metadata.

    Raises:
        Refusal: A value is not UTF-8.
    """
    custom = dict[str, str]()
    for name, value in headers.items():
        if name in _ADDED:
            continue  # a client sends back what a HEAD response had
        if name.startswith(_META) and name != _META:
            custom["-".join(part.capitalize() for part in name.split("-"))] = value
        elif name == "content-encoding":
            # aws-chunked is the encoding of the request, not of the object.
            codings = [part.strip() for part in value.split(",")]
            kept = ",".join(part for part in codings if part and part != "aws-chunked")
            if kept:
                custom[_KEPT[name]] = kept
        elif name in _KEPT and not (name == "content-type" and value in _DEFAULT_TYPES):
            custom[_KEPT[name]] = value
    try:
        for value in custom.values():
            value.encode()
    except UnicodeEncodeError:
        message = "a header of the object's metadata is not UTF-8"
        raise Refusal(400, message, tcode="InvalidArgument") from None
    return custom


def response_headers(
    record: Record, status: os.stat_result, query: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the headers of every response with an object.

    Args:
        record: What is on record of it.
        status: Of its file.
        query: The request's query, which may replace headers, as in `response-content-type`.
    """
    values = {"Content-Type": "application/octet-stream"}
    values.update((key, value) for key, value in record.custom.items() if key in _KEPT.values())
    values.update((name, query[key]) for key, name in _OVERRIDES.items() if key in query)
    # In lower case, as S3 sends it: clients make the keys of metadata of it.
    values.update(
        (key.lower(), value)
        for key, value in record.custom.items()
        if key.lower().startswith(_META) and key.isascii() and key.isprintable()
    )
    headers = [(key, one_line(value)) for key, value in values.items()]
    return [
        *headers,
        ("Accept-Ranges", "bytes"),
        ("ETag", f'"{etag(record, status)}"'),
        ("Last-Modified", http_date(status.st_mtime)),
    ]


def checksum_headers(record: Record) -> list[tuple[str, str]]:
    """Return the headers with AIStore's own checksum, which a HEAD response has."""
    return [
        (_CHECKSUM_TYPE, "xxhash2"),
        (_CHECKSUM_VALUE, record.checksum),
    ]


def http_date(seconds: float) -> str:
    """Return a time as headers have it."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def xml_date(seconds: float) -> str:
    """Return a time as S3's XML has it, with milliseconds."""
    milliseconds = int(seconds * 1000) % 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{milliseconds:03d}Z"
