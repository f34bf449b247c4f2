"""Extension headers of a tar, whose payloads hold what does not fit a member's own header.

    L, K   GNU: the name, or the link name, of the next member
    x, X   POSIX and Solaris: PAX records about the next member
    g      POSIX: PAX records about all members that follow

Source:
    POSIX.1-2017, pax, "pax Interchange Format"; GNU tar 1.34 manual, "Basic Tar Format" (L and K).
"""

from __future__ import annotations

import re
from typing import Final

from aisio.formats.tar_header import (
    SPARSE,
    SPARSE_NAME,
    VOLUME_OFFSET,
    MalformedHeaderError,
    read_number,
)

__all__ = ["EXTENSION_TYPES", "ExtensionHeaders", "read_records"]

EXTENSION_TYPES: Final = b"LKxgX"
# Of a payload: Linux knows no name over 4 KiB, and a member has few records.
_MAX_PAYLOAD_BYTES = 1 << 20

_SPANS = b"GNU.sparse.map"
_SPAN_KEYWORDS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\n]+)=")
_RECORD_VALUES = {
    b"path": re.compile(rb"[^\0]*"),
    b"linkpath": re.compile(rb"[^\0]*"),
    b"size": re.compile(rb"[0-9]{0,20}"),
    b"mtime": re.compile(rb".*", re.DOTALL),  # one that is no time is ignored
    SPARSE_NAME: re.compile(rb"[^\0]*"),
    VOLUME_OFFSET: re.compile(rb".*", re.DOTALL),
}


class ExtensionHeaders:
    """What the extension headers of an archive say of the next member, and of all that follow.

    Attributes:
        typeflag: Type of the extension header whose payload is being read; b"" for none.
        offset: Byte of the archive where the next member's first extension header stands; None if
            there is none yet.
        records: About the next member.
        global_records: About all members that follow.
    """

    def __init__(self) -> None:
        self.typeflag = b""
        self.offset: int | None = None
        self.records: dict[bytes, bytes] = {}
        self.global_records: dict[bytes, bytes] = {}

    def begin(self, block: bytes, offset: int) -> int:
        """Take in an extension header; return the size of the payload that follows, in bytes.

        Raises:
            MalformedHeaderError: The payload is over 1 MiB.
        """
        size_bytes = read_number(block[124:136], "size")
        if not 0 <= size_bytes <= _MAX_PAYLOAD_BYTES:
            raise MalformedHeaderError(f"an extension header of {size_bytes} bytes, over 1 MiB")
        self.typeflag = block[156:157]
        if self.offset is None and self.typeflag != b"g":
            self.offset = offset
        return size_bytes

    def end(self, payload: bytes) -> None:
        """Take in the payload of the extension header.

        Raises:
            MalformedHeaderError: It is not valid.
        """
        flag, self.typeflag = self.typeflag, b""
        if flag == b"g":
            records = read_records(payload)
            if VOLUME_OFFSET in records:  # GNU tar says it of the next member alone
                self.records[VOLUME_OFFSET] = records[VOLUME_OFFSET]
                records[VOLUME_OFFSET] = b""
            self.global_records.update(records)
        elif flag in b"xX":
            self.records.update(read_records(payload))
        else:
            name = payload.partition(b"\0")[0]
            if not name:
                raise MalformedHeaderError("a GNU long name that is empty")
            self.records.setdefault(b"path" if flag == b"L" else b"linkpath", name)

    def clear_member(self) -> None:
        """Forget what belongs to the member whose own header has come."""
        self.offset = None
        self.records = {}


def read_records(payload: bytes) -> dict[bytes, bytes]:
    r"""Parse the payload of a PAX header, records "LENGTH KEYWORD=VALUE\n"; keep the known ones.

    Raises:
        MalformedHeaderError: A record is not valid.
    """
    records: dict[bytes, bytes] = {}
    spans: list[bytes] = []
    position = 0
    while position < len(payload):
        match = _RECORD.match(payload, position)
        stop = position + int(match[1]) if match else 0
        if match is None or payload[stop - 1 : stop] != b"\n":
            text = payload[position : position + 40]
            raise MalformedHeaderError(f"a PAX header with a bad record: {text!r}")
        keyword, value = match[2], payload[match.end() : stop - 1]
        if keyword.startswith(SPARSE):
            records[SPARSE] = b"1"
            records[keyword] = value
        if keyword in _SPAN_KEYWORDS:
            if keyword != _SPAN_KEYWORDS[len(spans) % 2]:
                raise MalformedHeaderError("a PAX header with an offset or size of no span")
            spans.append(value)
        if allowed := _RECORD_VALUES.get(keyword):
            if not allowed.fullmatch(value):
                raise MalformedHeaderError(f"a PAX header with {keyword.decode()}={value[:40]!r}")
            records[keyword] = value
        position = stop
    if spans:
        records[_SPANS] = b",".join(spans)  # as later versions write them
    return records
