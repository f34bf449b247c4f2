"""Lhotse's `.idxpack`: the record offsets of many files in one, for random access.

All numbers are little-endian, and all offsets count from the start of the file:

    header         256 bytes: magic, version, where the sections are, SHA-256 of the layout
    collections    72 bytes each: what belongs together, under a key
    sequences      16 bytes each: the files of a collection in order: number of the segment, and how
                   many records there are up to its end
    segments       56 bytes each: a file: its path, and where its payload is, with a CRC-32
    strings        UTF-8, each one once; zeros up to a multiple of 8
    payloads       of each segment: u64 offsets of its records and then its size, as in an `.idx`;
                   of a path alone one u64, its size or 0; or u32 values (version 3)

Source:
    lhotse 2.0.0a7, lhotse/index_pack.py.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from aisio.errors import ShardError
from aisio.escapes import one_line

__all__ = [
    "VALUE_BYTES",
    "Form",
    "IndexPackTables",
    "PackCollection",
    "PackSegment",
    "collection_key",
    "encode_tables",
    "layout_digest",
]

Form: TypeAlias = Literal["offsets", "paths", "uint32"]
"""What segments hold: offsets of records, nothing but the path, or values."""

VALUE_BYTES: Final[Mapping[Form, int]] = {"offsets": 8, "paths": 8, "uint32": 4}

_MAGIC: Final = b"IDXPACK2"
_VERSION, _ARRAY_VERSION = 2, 3
_HEADER_BYTES: Final = 256
_HEADER = struct.Struct("<8sIIQQQQQQQQQQ32s")
_COLLECTION = struct.Struct("<32sQQQQII")
_SEQUENCE = struct.Struct("<QQ")
_SEGMENT = struct.Struct("<QQIIQQQII")
_U64 = struct.Struct("<Q")
_FLAGS: Final[Mapping[Form, int]] = {"offsets": 0, "paths": 1, "uint32": 2}
_FORMS: Final[Mapping[int, Form]] = {flag: form for form, flag in _FLAGS.items()}
_HAS_SOURCE_BYTES: Final = 1


class PackCollection(NamedTuple):
    """Files that belong together.

    Attributes:
        key: See `collection_key`.
        kind: What they are, as in "jsonl"; any text.
        form: What is known of them.
        first: Row of the first one in the sequences.
        shards: How many there are.
        records: How many records, or values, they have together.
    """

    key: bytes
    kind: str
    form: Form
    first: int
    shards: int
    records: int


class PackSegment(NamedTuple):
    """One file.

    Attributes:
        path: Its path or URL; "" for values.
        form: What is known of it.
        numbers: How many the payload has: for offsets one more than there are records.
        source_bytes: Its size; None if it is not known.
        crc32: Of the payload.
        start: Where the payload is; of no meaning to `encode_tables`.
    """

    path: str
    form: Form
    numbers: int
    source_bytes: int | None
    crc32: int
    start: int = 0

    @property
    def records(self) -> int:
        """How many records, or values, it has."""
        return self.numbers if self.form == "uint32" else self.numbers - 1

    @property
    def size_bytes(self) -> int:
        """Size of the payload."""
        return self.numbers * VALUE_BYTES[self.form]


def collection_key(role: str, kind: str, source_spec: object) -> bytes:
    """Return the 32 bytes by which a collection is found.

    Args:
        role: What it is for, as in "manifest".
        kind: What its files are, as in "jsonl".
        source_spec: How its files were named, as JSON has it.
    """
    fields = {"kind": kind, "role": role, "source_spec": _plain(source_spec)}
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        return [_plain(one) for one in value]
    return str(value) if hasattr(value, "__fspath__") else value


def layout_digest(
    collections: Iterable[tuple[bytes, Form, Sequence[str] | Sequence[int]]],
) -> bytes:
    """Return the SHA-256 that tells whether a pack is of some collections.

    Args:
        collections: Key and form of each, and the paths of its files; of values, how many each of
            its files has.
    """
    digest = hashlib.sha256()
    for key, form, members in collections:
        digest.update(key)
        digest.update({"paths": b"\0", "offsets": b"\1", "uint32": b"\2"}[form])
        digest.update(_U64.pack(len(members)))
        for member in members:
            if isinstance(member, int):
                digest.update(_U64.pack(member))
            else:
                path = member.encode()
                digest.update(_U64.pack(len(path)) + path)
    return digest.digest()


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray()
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, text: str) -> tuple[int, int]:
        """Return where a text is, and its length in bytes."""
        if text not in self._places:
            encoded = text.encode()
            self._places[text] = (len(self.data), len(encoded))
            self.data += encoded
        return self._places[text]


def encode_tables(
    collections: Sequence[PackCollection],
    sequences: Sequence[tuple[int, int]],
    segments: Sequence[PackSegment],
    layout: bytes,
) -> bytes:
    """Return all of a pack but the payloads, which follow in the order of the segments."""
    strings = _Strings()
    kinds = [strings.add(one.kind) for one in collections]
    paths = [strings.add(one.path) for one in segments]
    sequences_at = _HEADER_BYTES + len(collections) * _COLLECTION.size
    segments_at = sequences_at + len(sequences) * _SEQUENCE.size
    strings_at = segments_at + len(segments) * _SEGMENT.size
    payloads_at = strings_at + len(strings.data)
    padding = -payloads_at % _U64.size
    payloads_at += padding
    header = _HEADER.pack(
        _MAGIC,
        _ARRAY_VERSION if any(one.form == "uint32" for one in collections) else _VERSION,
        _HEADER_BYTES,
        *(_HEADER_BYTES, len(collections)),
        *(sequences_at, len(sequences)),
        *(segments_at, len(segments)),
        *(strings_at, len(strings.data)),
        *(payloads_at, sum(one.size_bytes for one in segments)),
        layout,
    )
    tables = bytearray(header.ljust(_HEADER_BYTES, b"\0"))
    for one, (at, length) in zip(collections, kinds, strict=True):
        numbers = one.first, one.shards, one.records, strings_at + at, length, _FLAGS[one.form]
        tables += _COLLECTION.pack(one.key, *numbers)
    for row in sequences:
        tables += _SEQUENCE.pack(*row)
    start = payloads_at
    for segment, (at, length) in zip(segments, paths, strict=True):
        tables += _encode_segment(segment, strings_at + at, length, start)
        start += segment.size_bytes
    return bytes(tables + strings.data + bytes(padding))


def _encode_segment(segment: PackSegment, path_at: int, length: int, start: int) -> bytes:
    is_path = segment.form == "paths"
    return _SEGMENT.pack(
        path_at,
        start,
        length,
        _FLAGS[segment.form],
        segment.numbers,
        (segment.source_bytes or 0) if segment.form == "offsets" else 0,
        segment.size_bytes,
        segment.crc32,
        _HAS_SOURCE_BYTES if is_path and segment.source_bytes is not None else 0,
    )


class IndexPackTables:
    """The tables of a pack, read in place.

    Args:
        data: The whole pack.
        name: Its path or URL, for errors.

    Attributes:
        layout: The SHA-256 of the layout.
        collections: By key.
        segments: How many files there are.

    Raises:
        ShardError: It is not such a file, or it is cut or damaged.
    """

    def __init__(self, data: memoryview, name: str) -> None:
        self._data = data
        self._name = name
        if len(data) < _HEADER_BYTES or bytes(data[:8]) != _MAGIC:
            raise self._wrong("it does not begin as a pack does")
        _, version, header_bytes, *places, self.layout = _HEADER.unpack_from(data)
        if version not in (_VERSION, _ARRAY_VERSION) or header_bytes != _HEADER_BYTES:
            raise self._wrong(f"version {version}; 2 and 3 are read")
        self._check_places(places)
        self._sequences_at, self._segments_at = places[2], places[4]
        self._strings = range(places[6], places[6] + places[7])
        self._sequences: int = places[3]
        self.segments: int = places[5]
        self._check_segments(places[8], places[8] + places[9])
        self.collections = self._parse_collections(places[1])
        self._check_layout()

    def _check_layout(self) -> None:
        collections = self.collections.values()
        found = layout_digest((one.key, one.form, self._members(one)) for one in collections)
        if found != self.layout:
            raise self._wrong("its keys, paths or counts are not those that were written")

    def _members(self, collection: PackCollection) -> list[str] | list[int]:
        rows = range(collection.first, collection.first + collection.shards)
        segments = [self.segment(self.sequence(row)[0]) for row in rows]
        if collection.form == "uint32":
            return [segment.numbers for segment in segments]
        return [segment.path for segment in segments]

    def _wrong(self, what: str) -> ShardError:
        name = one_line(self._name)
        return ShardError(f"{name}: this index pack cannot be used: {what}", url=self._name)

    def _check_places(self, places: Sequence[int]) -> None:
        at = _HEADER_BYTES
        for start, count, size in zip(
            places[0::2],
            places[1::2],
            (_COLLECTION.size, _SEQUENCE.size, _SEGMENT.size, 1, 1),
            strict=True,
        ):
            if size == 1 and start == places[8]:
                at += -at % _U64.size
            if start != at:
                raise self._wrong("its sections do not follow one another")
            at = start + count * size
        if at != len(self._data):
            raise self._wrong(f"it has {len(self._data):,} bytes, and says {at:,}: it was cut")

    def _check_segments(self, start: int, stop: int) -> None:
        for number in range(self.segments):
            segment = self.segment(number)
            if segment.start != start or segment.numbers < (segment.form != "uint32"):
                raise self._wrong(f"the payload of segment {number} is not where it is due")
            start += segment.size_bytes
        if start != stop:
            raise self._wrong("its payloads do not fill their section")

    def _parse_collections(self, count: int) -> dict[bytes, PackCollection]:
        collections: dict[bytes, PackCollection] = {}
        first = 0
        for number in range(count):
            at = _HEADER_BYTES + number * _COLLECTION.size
            key, begin, shards, records, *kind, flags = _COLLECTION.unpack_from(self._data, at)
            if key in collections or begin != first or flags not in _FORMS:
                raise self._wrong(f"collection {number} is damaged")
            first += shards
            if first > self._sequences:
                raise self._wrong(f"collection {number} has more files than there are")
            form = self._check_sequence(number, range(begin, first), records)
            # Version 2 says only of the segments that they are paths.
            found = form or _FORMS[flags]
            if flags and found != _FORMS[flags]:
                raise self._wrong(f"collection {number} is not of the form that it says")
            collections[key] = PackCollection(key, self._text(*kind), found, begin, shards, records)
        if first != self._sequences:
            raise self._wrong("some of its sequences belong to no collection")
        return collections

    def _check_sequence(self, collection: int, rows: range, records: int) -> Form | None:
        """Check the files of a collection, and return their form."""
        total, form = 0, None
        for row in rows:
            number, end = self.sequence(row)
            if number >= self.segments:
                raise self._wrong(f"collection {collection} names segment {number}: there is none")
            segment = self.segment(number)
            total += segment.records
            if end != total or (form or segment.form) != segment.form:
                raise self._wrong(f"file {row - rows.start} of collection {collection} is damaged")
            form = segment.form
        if total != records:
            raise self._wrong(f"collection {collection} has {total} records, and says {records}")
        return form

    def sequence(self, row: int) -> tuple[int, int]:
        """Return the segment of a row, and how many records there are up to its end."""
        at = self._sequences_at + row * _SEQUENCE.size
        segment, end = _SEQUENCE.unpack_from(self._data, at)
        return segment, end

    def segment(self, number: int) -> PackSegment:
        """Return a file by its number.

        Raises:
            ShardError: Its row is damaged.
        """
        at = self._segments_at + number * _SEGMENT.size
        row = _SEGMENT.unpack_from(self._data, at)
        path_at, start, length, flags, count, source_bytes, size, crc32, about_source = row
        if flags not in _FORMS or size != count * VALUE_BYTES[_FORMS[flags]]:
            raise self._wrong(f"segment {number} is damaged")
        form = _FORMS[flags]
        known: int | None = source_bytes
        if form == "uint32":
            known = None
        elif form == "paths":
            known = source_bytes or None
            if about_source & _HAS_SOURCE_BYTES:
                known = self.number(start)
            if source_bytes and source_bytes != self.number(start):
                raise self._wrong(f"segment {number} is damaged")
        return PackSegment(self._text(path_at, length), form, count, known, crc32, start)

    def number(self, at: int) -> int:
        """Return the u64 at an offset."""
        if at + _U64.size > len(self._data):
            raise self._wrong(f"there is no number at byte {at}")
        (number,) = _U64.unpack_from(self._data, at)
        return int(number)

    def payload(self, segment: PackSegment) -> memoryview:
        """Return the payload of a file; whether it is right, its CRC-32 tells."""
        return self._data[segment.start : segment.start + segment.size_bytes]

    def _text(self, at: int, length: int) -> str:
        if at < self._strings.start or at + length > self._strings.stop:
            raise self._wrong("a text lies outside its strings")
        try:
            return str(self._data[at : at + length], "utf-8")
        except UnicodeDecodeError as error:
            raise self._wrong(f"a text is not UTF-8: {error}") from error
