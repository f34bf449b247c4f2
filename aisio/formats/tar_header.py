"""The 512-byte header of a tar member, and the records that stand in for what does not fit it.

Pure functions, bytes in and values out; where in the archive a header stands, TarParser knows.

    name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | typeflag 1 | linkname 100
    | magic 6 | version 2 | uname 32 | gname 32 | devmajor 8 | devminor 8 | prefix 155 | zeros 12

Source:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar 1.34 manual,
    "Basic Tar Format" (magic "ustar  " and numbers in base 256).
"""

from __future__ import annotations

import re
import struct
from typing import Final, Literal, TypeAlias

import msgspec

from aisio.errors import ConfigError

BLOCK_BYTES: Final = 512
END_OF_ARCHIVE: Final = bytes(2 * BLOCK_BYTES)
"""What ends an archive: two blocks of zeros (padding to 10 KiB is left out: only tapes want it)."""

MemberKind: TypeAlias = Literal["file", "sparse", "directory", "symlink", "hardlink", "other"]

_MAX_SIZE_BYTES = 1 << 63
# What datetime can hold: from the year 1 to the year 9999.
_TIMES_S = (-62_135_596_800, 253_402_300_799)
_MAX_NAME_BYTES = 1 << 16
_OCTAL_LIMIT = 8**11
# name, mode, size, mtime, linkname, magic, prefix
_FIELDS = struct.Struct("100s8s16x12s12s9x100s6s82x155s12x")
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
_DESCRIPTIONS = (b"D", b"A")  # whose data describes the file system
_SPARSE = b"GNU.sparse."
_SPARSE_NAME = b"GNU.sparse.name"
_SPANS = b"GNU.sparse.map"
_SPAN_PARTS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_FOREIGN = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\n]+)=")
_RECORD_VALUES = {
    b"path": re.compile(rb"[^\0]*"),
    b"linkpath": re.compile(rb"[^\0]*"),
    b"size": re.compile(rb"[0-9]{0,20}"),
    b"mtime": re.compile(rb".*", re.DOTALL),  # what is no time is not needed: see _mtime_s()
    _SPARSE_NAME: re.compile(rb"[^\0]*"),
}


class MalformedHeaderError(Exception):
    """What is wrong with a header; TarParser makes a ShardError of it, which says where."""


class TarMember(msgspec.Struct, frozen=True, gc=False):
    """One member of an archive.

    Attributes:
        name: As the archive says it; bytes that are not UTF-8 are kept as surrogates. A directory's
            has no slash at its end.
        kind: "other" is a device, a FIFO, a volume label, an access control list, or of a kind that
            is not read.
        size_bytes: Size of the payload; 0 for every kind but "file".
        offset: Byte of the archive where the member begins, its own extension headers included
            (a PAX header for all that follows is nobody's own).
        data_offset: Byte of the archive where its payload begins.
        mode: Permission bits.
        mtime_s: Last change in seconds since 1970; 0.0 where the archive says none that can be.
        link_name: What a hard or symbolic link points to; else "".
        unreadable: What a member is whose data is not the content of a file as it stands, as in
            "a sparse file" (which TarParser.read_sparse() reads); "" for all others.
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

    def describe_unreadable(self) -> str:
        """Return what to say where an unreadable member is wanted."""
        return (
            f"member {self.name!r} at byte {self.offset} is {self.unreadable}, which is not read"
            " here: repack it as a plain file"
        )


def has_checksum(block: bytes) -> bool:
    """Say whether a block is a header: the checksum in it is its sum, with that field as spaces.

    Zeros, most of a header, are dropped before the sum: 0.9 us instead of 2.1 (CPython 3.11).
    Some old writers summed signed bytes, which is accepted too.
    """
    field = block[148:156]
    try:
        stored = read_number(field, "checksum")
    except MalformedHeaderError:
        return False
    counted = sum(block.translate(None, b"\0")) - sum(field) + 8 * 0x20
    return stored == counted or stored == counted - 256 * sum(byte > 127 for byte in block)


def describe_foreign(start: bytes) -> str:
    """Say what a file is that begins so, and what to do with it; "" where that is not known."""
    kind = next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), "")
    if kind == "zip":
        return "a zip: repack it, zip cannot be streamed"
    return f"{kind} data: decompress it first" if kind else ""


def read_member(
    block: bytes, records: dict[bytes, bytes], *, offset: int, header_offset: int
) -> TarMember:
    """Read the header of a member.

    Args:
        block: The header, of which has_checksum() is true.
        records: What extension headers say of this member; they beat the header.
        offset: Byte of the archive where the member's first extension header stands, or else this.
        header_offset: Byte of the archive where this header stands.

    Raises:
        MalformedHeaderError: A field holds what it cannot.
    """
    name, mode, size, mtime, link, magic, prefix = _FIELDS.unpack(block)
    flag = block[156:157]
    kind = _KINDS.get(flag, "other")
    if kind == "file" and records and _SPARSE in records:
        kind = "sparse"
    name = name.partition(b"\0")[0]
    # Only ustar has a prefix; in GNU archives (magic "ustar  ") the field may hold times.
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    if records:
        name = records.get(_SPARSE_NAME) or records.get(b"path") or name
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
        read_number(mode, "mode") if mode.strip(b" \0") else 0,
        _mtime_s(mtime, records),
        link.partition(b"\0")[0].decode("utf-8", "surrogateescape") if link[0] else "",
        _unreadable(flag, kind),
    )


def hidden_bytes(member: TarMember, block: bytes, records: dict[bytes, bytes]) -> int:
    """Return how many bytes of data follow the header of a member that has no payload.

    Raises:
        MalformedHeaderError: The field does not say.
    """
    if member.unreadable or block[156:157] in _DESCRIPTIONS:
        return _payload_bytes(block[124:136], records)
    return 0


def has_sparse_map(block: bytes) -> bool:
    """Say whether a block of the map of a sparse file follows the header of a member.

    Source:
        GNU tar 1.34 manual, "Old GNU Format": `isextended`, byte 482 of a header of type "S".
    """
    return block[156:157] == b"S" and block[482] != 0


def read_number(field: bytes, what: str) -> int:
    """Read a number field: octal digits, or base 256 (GNU) where the first bit is set.

    Raises:
        MalformedHeaderError: It is neither.
    """
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:  # an 8 or a 9
            raise _no_number(field, what) from None
    if not field[0] & 0x80:
        raise _no_number(field, what)
    half = 0x80 << 8 * (len(field) - 1)
    value = int.from_bytes(field, "big") - half
    return value - half if field[0] & 0x40 else value


def _no_number(field: bytes, what: str) -> MalformedHeaderError:
    return MalformedHeaderError(f"{field!r} in the field {what} is not an octal number")


def read_records(payload: bytes) -> dict[bytes, bytes]:
    r"""Read a PAX header's payload, records "LENGTH KEYWORD=VALUE\n"; keep what read_member() uses.

    Raises:
        MalformedHeaderError: A record does not add up.
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
        if keyword.startswith(_SPARSE):
            records[_SPARSE] = b"1"
            records[keyword] = value
        if keyword in _SPAN_PARTS:
            if keyword != _SPAN_PARTS[len(spans) % 2]:
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


def header(name: str, size_bytes: int, *, mode: int = 0o644, mtime_s: int = 0) -> bytes:
    """Return the header of a regular file: ustar, after a PAX header where that is too small.

    Owner and group are 0 and without names: the same arguments give the same bytes anywhere.

    Args:
        name: Member name; surrogates become the bytes they stand for.
        size_bytes: Size of the payload that follows.
        mode: Permission bits.
        mtime_s: Last change in seconds since 1970.

    Returns:
        One block, or three and more where the name or size does not fit into one.

    Raises:
        ConfigError: A name or number that no archive can hold.
    """
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or b"\0" in raw or raw.endswith(b"/") or len(raw) > _MAX_NAME_BYTES:
        raise ConfigError(f"{name[:200]!r} cannot be the name of a file in a tar archive")
    if not 0 <= size_bytes <= _MAX_SIZE_BYTES:
        raise ConfigError(f"{name!r}: size_bytes={size_bytes} does not fit a tar archive")
    if not (0 <= mode < 8**7 and 0 <= mtime_s < _OCTAL_LIMIT):
        raise ConfigError(f"{name!r}: mode={mode}, mtime_s={mtime_s} do not fit a tar archive")
    records = b""
    prefix, short_name = _split_name(raw)
    if len(short_name) > 100:
        records += _record(b"path", raw)
        short_name = short_name[:100]
    if size_bytes >= _OCTAL_LIMIT:
        records += _record(b"size", b"%d" % size_bytes)
        size_bytes = 0
    block = _block(short_name, size_bytes, b"0", mode, mtime_s, prefix)
    if not records:
        return block
    extension = _block(b"PaxHeader", len(records), b"x", 0o644, 0, b"")
    return extension + records + padding(len(records)) + block


def padding(size_bytes: int) -> bytes:
    """Return the zeros that follow a payload of this size, up to a whole block."""
    return bytes(-size_bytes % BLOCK_BYTES)


def _payload_bytes(field: bytes, records: dict[bytes, bytes]) -> int:
    record = records.get(b"size")
    size_bytes = int(record) if record else read_number(field, "size")
    if not 0 <= size_bytes <= _MAX_SIZE_BYTES:
        raise MalformedHeaderError(f"a size of {size_bytes} bytes cannot be")
    return size_bytes


def _unreadable(flag: bytes, kind: MemberKind) -> str:
    if kind == "sparse":
        return "a sparse file"
    if flag == b"M":
        return "the continuation of a file in another volume"
    return "" if flag in _KINDS else f"of the unknown type {flag!r}"


def _mtime_s(field: bytes, records: dict[bytes, bytes]) -> float:
    """Read the time of a member; 0.0 for one that is none, as no byte of data depends on it."""
    record = records.get(b"mtime")
    try:
        if record:
            seconds = float(record)
        else:
            seconds = read_number(field, "mtime") if field.strip(b" \0") else 0.0
    except (ValueError, MalformedHeaderError):
        return 0.0
    return seconds if _TIMES_S[0] <= seconds <= _TIMES_S[1] else 0.0  # nan is neither


def _split_name(raw: bytes) -> tuple[bytes, bytes]:
    """Split a long name at a slash into ustar's prefix and name; (b"", raw) where none fits."""
    slash = raw.rfind(b"/", 0, 156)
    if len(raw) <= 100 or slash < 1 or len(raw) - slash - 1 > 100:
        return b"", raw
    return raw[:slash], raw[slash + 1 :]


def _record(keyword: bytes, value: bytes) -> bytes:
    body = b" " + keyword + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))  # its own digits count, and may add one
    return b"%d" % (len(body) + len(str(length))) + body


def _block(name: bytes, size: int, flag: bytes, mode: int, mtime_s: int, prefix: bytes) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, mtime_s)
    before = name.ljust(100, b"\0") + numbers
    after = flag + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\0"
    after += prefix.ljust(167, b"\0")
    return before + b"%06o\0 " % (sum(before) + sum(after) + 8 * 0x20) + after
