"""The head of an HTTP/1 reply: its status, its headers, and where its body ends. Pure.

Strict where two readers could differ: a reply of which it is not certain where it ends is refused,
for the bytes behind it would be taken for the next one's.

Source:
    RFC 9112, sections 2.2, 4, 5 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "LONGEST_HEAD_BYTES",
    "BadReply",
    "Head",
    "ReplyHeaders",
    "is_field",
    "parse_chunk_size",
    "parse_head",
    "utf8_text",
    "whole_number",
]

LONGEST_HEAD_BYTES = 128 * 1024
"""A longer head is refused; http.client stops at 64 KiB a line."""

MOST_HEADERS = 10_000
"""More are refused: each costs many times its bytes. An object has one for each item of its custom
metadata, and AIStore has no limit of their number."""

_STATUS_LINE = re.compile(r"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: [^\r\n\0]*)?\r\n")
# Each of them fits in one way only: with two, a long line of blanks took the square of its length.
_FIELD = re.compile(r"(?m)^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\r\n\0 \t][^\r\n\0]*)?)\r\n")
_FOLD = re.compile(r"\r\n[ \t]+")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_MOST_DIGITS = 19
_LARGEST_NUMBER = (1 << 63) - 1


class BadReply(ValueError):
    """The bytes are no HTTP/1 reply, or one that can be read in more than one way."""


class ReplyHeaders(dict[str, str]):
    """Headers of a reply by any spelling of their names; repeated ones are joined by ", ".

    Attributes:
        get_lower: `get` for names in lower case; much faster, and each read asks ten times.

    Source:
        RFC 9110, sections 5.1 and 5.3.
    """

    _repeated: Mapping[str, list[str]] = MappingProxyType({})

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__([(name.lower(), value) for name, value in headers])
        if len(self) != len(headers):
            self._join(headers)

    def _join(self, headers: list[tuple[str, str]]) -> None:
        values: dict[str, list[str]] = {}
        for name, value in headers:
            values.setdefault(name.lower(), []).append(value)
        self.update({key: ", ".join(each) for key, each in values.items()})
        self._repeated = values

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return a header's value."""
        return self.get_lower(name.lower(), default)

    def getlist(self, name: str) -> list[str]:
        """Return a header's values one by one, as they were sent; urllib3 has this, too."""
        value = self.get(name)
        return self._repeated.get(name.lower(), [] if value is None else [value])

    get_lower = dict.get


@dataclass(slots=True)
class Head:
    """What a reply says before its body.

    Attributes:
        status: HTTP status.
        headers: By any spelling of their names.
        size_bytes: Of the body; None where it ends with the connection, or is chunked.
        in_chunks: The body comes in chunks.
        keeps: The connection can be used again behind the body.
    """

    status: int
    headers: ReplyHeaders
    size_bytes: int | None
    in_chunks: bool
    keeps: bool


def parse_head(data: bytes, method: str) -> Head:
    """Read a head.

    Args:
        data: All bytes to the end of the empty line, no more.
        method: That of the request: an answer to HEAD has no body, whatever it says.

    Raises:
        BadReply: They are no sound head.
    """
    text = data.decode("latin-1")
    line = _STATUS_LINE.match(text)
    if line is None:
        raise BadReply(f"no status line of HTTP/1: {text[:60]!r}")
    headers = ReplyHeaders(_fields(text, line.end()))
    status = int(line[2])
    get = headers.get_lower
    length, coding = get("content-length"), get("transfer-encoding")
    # HTTP/1.0 may keep its connections too, by an extension that nobody needs here.
    keeps = line[1] != "0" and not _closes(get("connection"))
    if coding is not None and (coding.lower() != "chunked" or length is not None or line[1] == "0"):
        raise BadReply(f"Transfer-Encoding {coding!r} with Content-Length {length!r}")
    size = whole_number(length)
    if size is None and length is not None:  # a list of equal numbers, too, which may pass for one
        raise BadReply(f"Content-Length {length[:60]!r}")
    if method == "HEAD" or status < 200 or status in (204, 304):
        return Head(status, headers, 0, False, keeps)
    if coding is not None:
        return Head(status, headers, None, True, keeps)
    return Head(status, headers, size, False, keeps and size is not None)


def _fields(text: str, start: int) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = _FIELD.findall(text, start)
    lines = text.count("\n", start) - 1
    if len(fields) != lines:
        # A value that goes on in the next line: its break stands for a blank.
        unfolded = _FOLD.sub(" ", text[start:])
        fields = _FIELD.findall(unfolded)
        if len(fields) != unfolded.count("\n") - 1:
            raise BadReply(f"not headers of HTTP/1: {text[start : start + 200]!r}")
    if lines > MOST_HEADERS:
        raise BadReply(f"{lines} headers, at most {MOST_HEADERS} are read")
    if " \r" in text or "\t\r" in text:
        return [(name, value.rstrip(" \t")) for name, value in fields]
    return fields


def is_field(line: bytes) -> bool:
    """Tell whether this is one whole line of a header or trailer."""
    return _FIELD.fullmatch(line.decode("latin-1")) is not None


def whole_number(text: str | None) -> int | None:
    """Read a number of 63 bits as headers have it, by digits alone; None for anything else.

    Sizes and times of AIStore are such numbers; Python itself refuses those of thousands of digits.
    """
    if text is None or len(text) > _MOST_DIGITS or not text.isdecimal():  # in Latin-1: ASCII
        return None
    number = int(text)
    return number if number <= _LARGEST_NUMBER else None


def utf8_text(value: str) -> str:
    """Return a header's value, which was read as Latin-1, as the UTF-8 that AIStore sends.

    What is no UTF-8 stays as it is.
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
    """Read the line before a chunk: a number, and extensions, which are left alone.

    Raises:
        BadReply: It is no such line, or the connection ended instead.
    """
    match = _CHUNK_LINE.fullmatch(line)
    if match is None:
        raise BadReply(f"not the size of a chunk: {line[:40]!r}")
    return int(match[1], 16)
