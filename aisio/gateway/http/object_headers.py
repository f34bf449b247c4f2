"""The headers of responses about objects, as AIStore 5.0 writes them.

Source: AIStore 5.0; compared response by response with a live cluster of 1 proxy and 2 targets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.records import Record

_CONTROL_TO_SPACE = dict.fromkeys({*range(32), 127} - {ord("\t")}, " ")

ETAG = "ETag"
"""The key of the custom metadata with the ETag of an object uploaded in parts, as on a cluster."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_VALID_PROPS = frozenset(
    {
        *("name", "size", "checksum", "atime", "version", "custom", "location"),
        *("copies", "ec", "chunked", "last-modified", "etag"),
    }
)


def object_headers(record: Record, status: os.stat_result) -> list[tuple[str, str]]:
    """Return the headers of every response about an existing object."""
    headers = [
        ("Ais-Checksum-Type", "xxhash2"),
        ("Ais-Checksum-Value", record.checksum),
        ("Ais-Atime", str(status.st_atime_ns)),
    ]
    return headers + version_headers(record) + custom_headers(record)


def version_headers(record: Record) -> list[tuple[str, str]]:
    """Return the header of the version, if the object has one."""
    return [("Ais-Version", str(record.version))] if record.version else []


def custom_headers(record: Record) -> list[tuple[str, str]]:
    """Return one header for each item of custom metadata."""
    return [
        ("Ais-Custom-Md", one_line(f"{key}={value}"))
        for key, value in sorted(record.custom.items())
    ]


def head_headers(
    bucket: BucketName, name: str, location: str, record: Record, status: os.stat_result
) -> list[tuple[str, str]]:
    """Return the headers of a HEAD in its first form, without `props`."""
    headers = [
        *object_headers(record, status),
        ("Ais-Name", one_line(name)),
        ("Ais-Bucket-Name", bucket.name),
        ("Ais-Bucket-Provider", "ais"),
        ("Ais-Location", location),
        ("Ais-Mirror-Copies", "1"),
        ("Ais-Mirror-Paths", f"[{mountpath(location)}]"),
        ("Ais-Present", "true"),
    ]
    return [*headers, ("Content-Length", str(status.st_size))] if status.st_size else headers


def head_props_headers(
    props: str, location: str, record: Record, status: os.stat_result
) -> list[tuple[str, str]]:
    """Return the headers of a HEAD in its second form, with the requested `props`.

    Raises:
        Refusal: There is no such property.
    """
    wanted = {prop.strip() for prop in props.split(",")} - {""}
    if unknown := sorted(wanted - _VALID_PROPS):
        raise Refusal(
            400, f'invalid property "{unknown[0]}" in props list', headers={"Ais-Present": "true"}
        )
    modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(status.st_mtime))
    by_prop: Mapping[str, list[tuple[str, str]]] = {
        "checksum": object_headers(record, status)[:2],
        "version": version_headers(record),
        "atime": [("Ais-Atime", str(status.st_atime_ns))],
        "custom": custom_headers(record),
        "location": [("Ais-Location", location)],
        "copies": [("Ais-Mirror-Copies", "1"), ("Ais-Mirror-Paths", mountpath(location))],
        "chunked": _chunk_headers(record),
        "last-modified": [("Last-Modified", modified)],
        "etag": [("ETag", f'"{etag(record, status)}"')],
    }
    always = [("Ais-Present", "true"), ("Content-Length", str(status.st_size))]
    return always + [header for prop in sorted(wanted & by_prop.keys()) for header in by_prop[prop]]


def etag(record: Record, status: os.stat_result) -> str:
    """Return an object's ETag, without quotation marks.

    It has a "-", so that no client takes it for an MD5.

    Source: ETag in core/lom.go of AIStore 5.0.
    """
    return record.custom.get(ETAG) or f"v1-{record.checksum}-{_base36(status.st_mtime_ns)}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _chunk_headers(record: Record) -> list[tuple[str, str]]:
    if record.multipart is None:
        return []
    return [
        ("Ais-Chunks-Count", str(record.multipart.part_count)),
        ("Ais-Chunks-Max-Chunk-Size", str(record.multipart.largest_part_bytes)),
    ]


def mountpath(location: str) -> str:
    """Return the folder named in a location `t[id]:mp[folder]`."""
    return location.partition("mp[")[2][:-1]


def one_line(text: str) -> str:
    """Return text that fits a header: control characters become " ", bytes that are not UTF-8 "?".

    Go's HTTP server replaces line breaks only, and many clients refuse the other characters.
    """
    if text.isprintable():
        return text
    return text.translate(_CONTROL_TO_SPACE).encode("utf-8", "replace").decode()
