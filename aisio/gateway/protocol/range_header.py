"""The Range header as AIStore reads it: one range of bytes, or an error. Pure."""

from __future__ import annotations

import re

from aisio.gateway.protocol.refusals import Refusal

_RANGE = re.compile(r"\s*(\d{0,19})\s*-\s*(\d{0,19})\s*")


def parse_range(header: str, size_bytes: int, url: str) -> tuple[int, int]:
    """Return the start and stop of the bytes that a Range header selects.

    Args:
        header: `bytes=a-b`, `bytes=a-` or `bytes=-n` (the last n bytes).
        size_bytes: Size of the object.
        url: The object, for messages.

    Raises:
        Refusal: Malformed, several ranges, or no byte of the object in the range (all 416).

    Source:
        RFC 9110, section 14; AIStore allows a single range only.
    """
    unit, equals, text = header.partition("=")
    if not equals or unit.strip() != "bytes":
        raise Refusal(416, f'read range "{header}" is invalid (prefix)')
    if "," in text:
        message = f"cannot multi-range read {url} - operation not supported"
        raise Refusal(416, message, tcode="ErrUnsupp")
    match = _RANGE.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        raise Refusal(416, f'read range "{text}" is invalid as per RFC 7233 Section 2.1')
    first, last = match.groups()
    if first and last and int(last) < int(first):
        raise Refusal(416, f'read range "{text}" is invalid (end)')
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= size_bytes:
        message = f"size={size_bytes}: not satisfiable range [{text}]"
        headers = {"Content-Range": f"bytes */{size_bytes}"}
        raise Refusal(416, message, tcode="ErrRangeNotSatisfiable", headers=headers)
    return start, stop
