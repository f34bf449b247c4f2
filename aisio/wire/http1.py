"""Parsing the head of an HTTP/1 response: its status, its headers, and where its body ends.

Strict where two parsers could differ: if it is not certain where a response ends, it is refused, as
the bytes behind it would be taken for the next response.

Source:
    RFC 9112, sections 2.2, 4, 5 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType

import msgspec

__all__ = [
    "MAX_HEAD_BYTES",
    "BadResponse",
    "ResponseHead",
    "ResponseHeaders",
    "http_seconds",
    "is_field",
    "parse_chunk_size",
    "parse_head",
    "utf8_text",
    "whole_number",
]

MAX_HEAD_BYTES = 128 * 1024
"""A longer head is refused; http.client has a limit of 64 KiB a line."""

MAX_HEADERS = 10_000
"""More are refused: each takes many times its bytes of memory. An object has one header for each
item of its custom metadata, whose number AIStore does not limit."""

_STATUS_LINE = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: [^\r\n\0]*)?\r\n")
# Each line matches in only one way: with two ways, a long line of blanks took quadratic time.
_FIELD = re.compile(r"(?m)^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\r\n\0 \t][^\r\n\0]*)?)\r\n")
_FOLD = re.compile(r"\r\n[ \t]+")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_DIGITS = 19
_MAX_NUMBER = (1 << 63) - 1


class BadResponse(ValueError):
    """The bytes are not an HTTP/1 response, or one that can be read in more than one way."""


class ResponseHeaders(dict[str, str]):
    """Headers of a response, by names in any case; values of repeated ones are joined by ", ".

    Attributes:
        get_lower: `get` for names in lower case; much faster, and called ten times a read.

    Source:
        RFC 9110, sections 5.1 and 5.3.
    """

    _repeated: Mapping[str, list[str]] = MappingProxyType({})

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__({name.lower(): value for name, value in headers})
        if len(self) != len(headers):
            self._join(headers)

    def _join(self, headers: list[tuple[str, str]]) -> None:
        values: dict[str, list[str]] = {}
        for name, value in headers:
            values.setdefault(name.lower(), []).append(value)
        self.update({key: ", ".join(repeated) for key, repeated in values.items()})
        self._repeated = values

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a header's value."""
        return self.get_lower(name.lower(), default)

    def getlist(self, name: str) -> list[str]:
        """Return the values of a header one by one, as they were sent; urllib3 has this, too."""
        value = self.get(name)
        return self._repeated.get(name.lower(), [] if value is None else [value])

    get_lower = dict.get


class ResponseHead(msgspec.Struct):
    """The status line and headers of a response.

    Attributes:
        status: HTTP status.
        headers: Its headers.
        size_bytes: Size of the body; None if it ends with the connection, or is chunked.
        is_chunked: The body has the transfer coding "chunked".
        is_reusable: The connection can be used for another request after the body.
    """

    status: int
    headers: ResponseHeaders
    size_bytes: int | None
    is_chunked: bool
    is_reusable: bool


def parse_head(data: bytes, method: str) -> ResponseHead:
    """Parse a head.

    Args:
        data: All bytes up to the end of the empty line.
        method: Of the request: a response to HEAD has no body, whatever its headers say.

    Raises:
        BadResponse: The head is not valid.
    """
    text = data.decode("latin-1")
    line = _STATUS_LINE.match(text)
    if line is None:
        raise BadResponse(f"no status line of HTTP/1: {text[:60]!r}")
    headers = ResponseHeaders(_fields(text, line.end()))
    status = int(line[2])
    get = headers.get_lower
    length, coding = get("content-length"), get("transfer-encoding")
    # An extension of HTTP/1.0 could keep connections too; it is not needed here.
    is_reusable = line[1] != "0" and not _closes(get("connection"))
    if coding is not None and (coding.lower() != "chunked" or length is not None or line[1] == "0"):
        raise BadResponse(f"Transfer-Encoding {coding!r} with Content-Length {length!r}")
    size = whole_number(length)
    # This also refuses a list of equal numbers, which RFC 9112 allows.
    if size is None and length is not None:
        raise BadResponse(f"Content-Length {length[:60]!r}")
    if method == "HEAD" or status < 200 or status in (204, 304):
        return ResponseHead(status, headers, 0, False, is_reusable)
    if coding is not None:
        return ResponseHead(status, headers, None, True, is_reusable)
    return ResponseHead(status, headers, size, False, is_reusable and size is not None)


def _fields(text: str, start: int) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = _FIELD.findall(text, start)
    lines = text.count("\n", start) - 1
    if len(fields) != lines:
        # A value may go on in the next line; the line break stands for a blank.
        unfolded = _FOLD.sub(" ", text[start:])
        fields = _FIELD.findall(unfolded)
        if len(fields) != unfolded.count("\n") - 1:
            raise BadResponse(f"not headers of HTTP/1: {text[start : start + 200]!r}")
    if lines > MAX_HEADERS:
        raise BadResponse(f"{lines} headers, at most {MAX_HEADERS} are read")
    if " \r" in text or "\t\r" in text:
        return [(name, value.rstrip(" \t")) for name, value in fields]
    return fields


def is_field(line: bytes) -> bool:
    """Tell whether this is one line of a header or trailer."""
    return _FIELD.fullmatch(line.decode("latin-1")) is not None


def whole_number(text: str | None) -> int | None:
    """Parse a number of 63 bits that consists of digits only; return None for any other text.

    Sizes and times of AIStore are such numbers; int() raises for thousands of digits.
    """
    # The text is Latin-1: all decimal digits in it are ASCII.
    if text is None or len(text) > _MAX_DIGITS or not text.isdecimal():
        return None
    number = int(text)
    return number if number <= _MAX_NUMBER else None


def http_seconds(text: str | None) -> float:
    """Return the seconds since 1970 of a time as headers have it; 0.0 for none, or an odd one."""
    if not text:
        return 0.0
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def utf8_text(value: str) -> str:
    """Decode a header's value, which was read as Latin-1, as the UTF-8 that AIStore sends.

    A value that is not UTF-8 is returned unchanged.
    """
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _closes(connection: str | None) -> bool:
    if connection is None:
        return False
    return "close" in (word.strip().lower() for word in connection.split(","))


def parse_chunk_size(line: bytes) -> int:
    """Parse the line before a chunk: its size, and extensions, which are ignored.

    Raises:
        BadResponse: The line is not valid, or empty as the connection has ended.
    """
    match = _CHUNK_LINE.fullmatch(line)
    if match is None:
        raise BadResponse(f"not the size of a chunk: {line[:40]!r}")
    return int(match[1], 16)
