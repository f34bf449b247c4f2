"""Reading the 512-byte header of a tar member.

Pure functions, from bytes to values; TarParser knows where in the archive a header stands.

    name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | typeflag 1 | linkname 100
    | magic 6 | version 2 | uname 32 | gname 32 | devmajor 8 | devminor 8 | prefix 155 | zeros 12

Source:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar 1.34 manual,
    "Basic Tar Format" (magic "ustar  " and numbers in base 256).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zlib import adler32

import msgspec

BLOCK_BYTES: Final = 512
MemberKind: TypeAlias = Literal["file", "sparse", "directory", "symlink", "hardlink", "other"]

MAX_SIZE_BYTES = 1 << 63
# What datetime can hold: from the year 1 to the year 9999.
_TIMES_S = (-62_135_596_800, 253_402_300_799)
# name, mode, size, mtime, typeflag, linkname, magic, prefix
_FIELDS = struct.Struct("100s8s16x12s12s8xc100s6s82x155s12x")
_KINDS: dict[bytes, MemberKind] = {
    b"0": "file",
    b"\0": "file",  # before POSIX
    b"7": "file",  # contiguous
    b"S": "sparse",  # GNU; in PAX archives records say it
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "other",  # character device
    b"4": "other",  # block device
    b"5": "directory",
    b"6": "other",  # FIFO
    b"V": "other",  # GNU volume label: a name, no data
    b"D": "directory",  # GNU, --listed-incremental: the data is the names of what is in it
    b"A": "other",  # Solaris: the data is the access control list of the next member
}
_CONTINUATION = b"M"
_FILE_SYSTEM_TYPES = (b"D", b"A")  # their data describes the file system
SPARSE = b"GNU.sparse."
"""Keywords of the records of a sparse file begin so; by itself it marks that there is one."""
SPARSE_NAME = b"GNU.sparse.name"
VOLUME_OFFSET = b"GNU.volume.offset"
"""Keyword of the record of a file that an earlier volume began: where in it the data belongs."""


class MalformedHeaderError(Exception):
    """A header is not valid; TarParser turns this into a ShardError that says where it stands."""


class TarMember(msgspec.Struct, frozen=True, gc=False):
    """One member of an archive.

    Attributes:
        name: As in the archive; bytes that are not UTF-8 become surrogates. A directory's
            has no slash at its end.
        kind: "other" is a device, a FIFO, a volume label, an access control list, or of an
            unknown type.
        size_bytes: Size of the payload; 0 for every kind but "file".
        offset: Byte of the archive where the member begins, its own extension headers included
            (a PAX header for all members that follow is no member's own).
        data_offset: Byte of the archive where its payload begins.
        mode: Permission bits.
        mtime_s: Last change in seconds since 1970; 0.0 if the archive has no valid time.
        link_name: What a hard or symbolic link points to; else "".
        unknown_type: Its type if that is not known, as in "b'Z'"; "" for all others.
        unreadable: What the member is if its data is not simply the content of a file, as in "a
            sparse file" (which TarParser.read_sparse() reads); "" for all others.
    """

    name: str
    kind: MemberKind
    size_bytes: int
    offset: int
    data_offset: int
    mode: int
    mtime_s: float
    link_name: str
    unreadable: str = ""
    unknown_type: str = ""

    def describe_unreadable(self) -> str:
        """Return the text of the error for an unreadable member that the caller wants to read."""
        return (
            f"member {self.name!r} at byte {self.offset} is {self.unreadable}, which is not read"
            " here: repack it as a plain file"
        )


def checksum_matches(block: bytes) -> bool:
    """Tell whether a block is a header: its checksum is the sum of its bytes, that field as spaces.

    Some old programs summed signed bytes, which is accepted too.
    """
    field = block[148:156]
    try:
        stored = read_number(field, "checksum")
    except MalformedHeaderError:
        return False
    counted = _sum_of_bytes(block) - _sum_of_bytes(field) + 8 * 0x20
    return stored == counted or stored == counted - 256 * sum(byte > 127 for byte in block)


def _sum_of_bytes(data: bytes) -> int:
    """Return the sum of at most 512 bytes.

    The low half of an Adler-32 is that sum modulo 65521, which ASCII bytes do not reach: 0.2 us for
    a header instead of 1.6 (CPython 3.11).
    """
    return adler32(data, 0) & 0xFFFF if data.isascii() else sum(data)


def read_member(
    block: bytes, records: dict[bytes, bytes], *, offset: int, header_offset: int
) -> TarMember:
    """Read the header of a member.

    Args:
        block: The header, of which has_checksum() is true.
        records: Of its extension headers; they take precedence over the header.
        offset: Byte of the archive where its first extension header stands, or else this header.
        header_offset: Byte of the archive where this header stands.

    Raises:
        MalformedHeaderError: A field is not valid.
    """
    name, mode, size, mtime, flag, link, magic, prefix = _FIELDS.unpack(block)
    kind = _KINDS.get(flag, "other")
    if kind == "file" and records:
        if SPARSE in records:
            kind = "sparse"
        elif records.get(VOLUME_OFFSET):
            kind, flag = "other", _CONTINUATION
    name = name.partition(b"\0")[0]
    # Only ustar has a prefix; in GNU archives (magic "ustar  ") these bytes may hold times.
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    if records:
        name = records.get(SPARSE_NAME) or records.get(b"path") or name
        link = records.get(b"linkpath") or link
    if kind == "directory" or (flag == b"\0" and name.endswith(b"/")):  # as before POSIX
        kind, name = "directory", name.rstrip(b"/") or name
    if not name:
        raise MalformedHeaderError("the member has no name")
    return TarMember(
        name.decode("utf-8", "surrogateescape"),
        kind,
        _payload_bytes(size, records) if kind == "file" else 0,
        offset,
        header_offset + BLOCK_BYTES,
        _mode(mode),
        _mtime_s(mtime, records.get(b"mtime")),
        link.partition(b"\0")[0].decode("utf-8", "surrogateescape") if link[0] else "",
        "" if kind == "file" else _unreadable(flag, kind, size, records),
        "" if flag in _KINDS or flag == _CONTINUATION else repr(flag),
    )


def skipped_bytes(member: TarMember, block: bytes, records: dict[bytes, bytes]) -> int:
    """Return how many bytes of data follow the header of a member without a payload.

    Raises:
        MalformedHeaderError: The size is not valid.
    """
    if member.unreadable or block[156:157] in _FILE_SYSTEM_TYPES:
        return _payload_bytes(block[124:136], records)
    return 0


def has_sparse_map(block: bytes) -> bool:
    """Tell whether a block of a sparse file's map follows the header of a member.

    Source:
        GNU tar 1.34 manual, "Old GNU Format": `isextended`, byte 482 of a header of type "S".
    """
    return block[156:157] == b"S" and block[482] != 0


def read_number(field: bytes, what: str) -> int:
    """Read a number: octal digits, or base 256 (GNU) if the first bit is set.

    Raises:
        MalformedHeaderError: It is neither.
    """
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:  # an 8 or a 9
            raise _not_a_number(field, what) from None
    if not field[0] & 0x80:
        raise _not_a_number(field, what)
    half = 0x80 << 8 * (len(field) - 1)
    value = int.from_bytes(field, "big") - half
    return value - half if field[0] & 0x40 else value


def _not_a_number(field: bytes, what: str) -> MalformedHeaderError:
    return MalformedHeaderError(f"{field!r} in the field {what} is not an octal number")


def _payload_bytes(field: bytes, records: dict[bytes, bytes]) -> int:
    record = records.get(b"size")
    size_bytes = int(record) if record else read_number(field, "size")
    if not 0 <= size_bytes <= MAX_SIZE_BYTES:
        raise MalformedHeaderError(f"a size of {size_bytes} bytes cannot be")
    return size_bytes


def _unreadable(flag: bytes, kind: MemberKind, size: bytes, records: dict[bytes, bytes]) -> str:
    if kind == "sparse":
        return "a sparse file"
    if flag == _CONTINUATION:
        return "the continuation of a file in another volume"
    # Without data there is nothing that could be lost.
    has_data = flag not in _KINDS and _payload_bytes(size, records)
    return f"of the unknown type {flag!r}" if has_data else ""


# Most members have the mode and the time of another one, and a cache costs less than reading these.
@lru_cache(maxsize=64)
def _mode(field: bytes) -> int:
    return read_number(field, "mode") if field.strip(b" \0") else 0


@lru_cache(maxsize=64)
def _mtime_s(field: bytes, record: bytes | None) -> float:
    """Read the time of a member; 0.0 if it is not valid, as no byte of data depends on it."""
    try:
        if record:
            seconds = float(record)
        else:
            seconds = read_number(field, "mtime") if field.strip(b" \0") else 0.0
    except (ValueError, MalformedHeaderError):
        return 0.0
    return seconds if _TIMES_S[0] <= seconds <= _TIMES_S[1] else 0.0  # nan is neither
