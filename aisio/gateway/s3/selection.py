"""Which bytes of an object a GET or HEAD is for: a range, a part that it was uploaded in, or all.

Source: Amazon S3 API Reference, "GetObject" and "HeadObject"; RFC 9110, section 14.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from aisio.gateway.http.object_headers import etag
from aisio.gateway.protocol.range_header import parse_range
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.object_headers import http_date
from aisio.gateway.storage.records import Record

__all__ = ["MAX_PART_NUMBER", "Selection", "parse_part_number", "select"]

MAX_PART_NUMBER = 10_000

_PARTS_COUNT = "x-amz-mp-parts-count"


class Selection(NamedTuple):
    """What is sent.

    Attributes:
        start: The first byte.
        stop: One past the last.
        status: Of the response: 200 for all bytes, 206 for some of them.
        headers: What the response says of it.
    """

    start: int
    stop: int
    status: int
    headers: list[tuple[str, str]]


def select(
    headers: Mapping[str, str],
    query: Mapping[str, str],
    record: Record,
    status: os.stat_result,
    url: str,
) -> Selection:
    """Return what a request is for.

    Args:
        headers: The request's headers.
        query: Its query.
        record: What is on record of the object.
        status: Of its file.
        url: The object, for messages.

    Raises:
        Refusal: There is no such range or part, or the request is for both.
    """
    size, byte_range, number = status.st_size, headers.get("range"), query.get("partNumber")
    if number is not None:
        if byte_range:
            message = "a request is for a range or for a part (partNumber), not for both"
            raise Refusal(400, message, tcode="InvalidRequest")
        return _select_part(parse_part_number(number), record, size, url)
    if byte_range and _range_applies(headers, record, status):
        return _of_bytes(*parse_range(byte_range, size, url), size)
    return Selection(0, size, 200, [])


def parse_part_number(text: str) -> int:
    """Return the number of a part.

    Raises:
        Refusal: It is not one from 1 to 10,000.
    """
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_PART_NUMBER:
        message = f"part number must be an integer between 1 and {MAX_PART_NUMBER}, got: {text}"
        raise Refusal(400, message, tcode="InvalidArgument")
    return int(text)


def _select_part(number: int, record: Record, size: int, url: str) -> Selection:
    """Return a part; an object that was not uploaded in parts has one, as on S3."""
    multipart = record.multipart
    if multipart is None and number == 1:
        return _of_bytes(0, size, size)
    if multipart is not None and not multipart.runs:
        message = f"{url}: the gateway that stored it did not record where its parts end"
        raise Refusal(501, message, tcode="NotImplemented")
    bounds = None if multipart is None else multipart.bounds(number)
    if multipart is None or bounds is None:
        raise Refusal(416, f"{url} has no part {number}", tcode="InvalidPartNumber")
    selection = _of_bytes(*bounds, size)
    selection.headers.append((_PARTS_COUNT, str(multipart.part_count)))
    return selection


def _of_bytes(start: int, stop: int, size: int) -> Selection:
    # No Content-Range can say "no byte", as of an empty part.
    content_range = [("Content-Range", f"bytes {start}-{stop - 1}/{size}")] if stop > start else []
    return Selection(start, stop, 206, content_range)


def _range_applies(headers: Mapping[str, str], record: Record, status: os.stat_result) -> bool:
    """Tell whether the object is still the one that the client has a part of (If-Range)."""
    condition = headers.get("if-range", "")
    return condition in ("", f'"{etag(record, status)}"', http_date(status.st_mtime))
