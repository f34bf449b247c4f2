"""The `.idxpack` format: what is written is parsed, and what is damaged is refused."""

from __future__ import annotations

import struct
from pathlib import PurePosixPath
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ShardError
from aisio.formats.index_pack import (
    Form,
    IndexPackTables,
    PackCollection,
    PackSegment,
    collection_key,
    encode_tables,
    layout_digest,
)

KEYS = [collection_key("role", f"kind {number}", ["a", number]) for number in range(3)]


def payload(segment: PackSegment) -> bytes:
    """Return a payload that fits a segment."""
    if segment.form == "paths":
        return struct.pack("<Q", segment.source_bytes or 0)
    letter = "I" if segment.form == "uint32" else "Q"
    return struct.pack(f"<{segment.numbers}{letter}", *range(segment.numbers))


def segment(path: str, form: Form, numbers: int, source_bytes: int | None = None) -> PackSegment:
    """Return a segment with the checksum of its payload."""
    one = PackSegment(path, form, numbers, source_bytes, 0)
    return one._replace(crc32=crc32(payload(one)))


SEGMENTS = [
    segment("a/é.jsonl", "offsets", 5, 4),
    segment("b.tar", "paths", 1, 77),
    segment("c.tar", "paths", 1),
    segment("", "uint32", 7),
]
ROWS = [
    PackCollection(KEYS[0], "jsonl", "offsets", 0, 2, 8),
    PackCollection(KEYS[1], "tar", "paths", 2, 2, 0),
    PackCollection(KEYS[2], "order", "uint32", 4, 1, 7),
]
SEQUENCES = [(0, 4), (0, 8), (1, 0), (2, 0), (3, 7)]

LAYOUT = layout_digest(
    [
        (KEYS[0], "offsets", ["a/é.jsonl", "a/é.jsonl"]),
        (KEYS[1], "paths", ["b.tar", "c.tar"]),
        (KEYS[2], "uint32", [7]),
    ]
)


def encoded(segments: list[PackSegment] = SEGMENTS) -> bytes:
    """Return a pack of these tables."""
    tables = encode_tables(ROWS, SEQUENCES, segments, LAYOUT)
    return tables + b"".join(payload(one) for one in segments)


def parse(data: bytes) -> IndexPackTables:
    """Return its tables."""
    return IndexPackTables(memoryview(data), "x.idxpack")


def test_what_is_written_is_parsed() -> None:
    """All of it."""
    tables = parse(encoded())
    assert tables.layout == LAYOUT
    assert tables.collections == {row.key: row for row in ROWS}
    assert [tables.sequence(row) for row in range(5)] == SEQUENCES
    found = [tables.segment(number) for number in range(tables.segments)]
    assert [one._replace(start=0) for one in found] == SEGMENTS
    assert [bytes(tables.payload(one)) for one in found] == [payload(one) for one in SEGMENTS]


def test_a_pack_without_values_is_of_version_2() -> None:
    """Older readers know it."""
    without = encode_tables(ROWS[:2], SEQUENCES[:4], SEGMENTS[:3], bytes(32))
    assert (encoded()[8], without[8]) == (3, 2)
    assert parse(encode_tables([], [], [], layout_digest([]))).collections == {}


def test_a_key_is_of_what_was_named() -> None:
    """Paths are texts, tuples are lists, and the order of a mapping is of no matter."""
    spec: Any = {"b": (PurePosixPath("x"), 1), "a": None}
    assert collection_key("r", "k", spec) == collection_key("r", "k", {"a": None, "b": ["x", 1]})
    assert len({*KEYS, collection_key("other", "kind 0", ["a", 0])}) == 4
    with pytest.raises(TypeError):
        collection_key("r", "k", object())


def test_a_layout_is_of_keys_forms_and_members() -> None:
    """In their order."""
    key = KEYS[0]
    layouts = {
        layout_digest([(key, "offsets", ["a", "b"])]),
        layout_digest([(key, "paths", ["a", "b"])]),
        layout_digest([(key, "offsets", ["b", "a"])]),
        layout_digest([(key, "offsets", ["ab"])]),
        layout_digest([(key, "uint32", [1, 2])]),
        layout_digest([]),
    }
    assert len(layouts) == 6


@pytest.mark.parametrize("length", [0, 8, 255, 256, 300, len(encoded()) - 1])
def test_a_pack_that_is_cut_is_refused(length: int) -> None:
    """Wherever it is cut."""
    with pytest.raises(ShardError, match=r"x\.idxpack: this index pack cannot be used"):
        parse(encoded()[:length])


@given(
    st.integers(8, len(encoded()) - sum(one.size_bytes for one in SEGMENTS) - 1),
    st.binary(min_size=1, max_size=8),
)
def test_whatever_is_in_its_tables_is_parsed_or_refused(at: int, damage: bytes) -> None:
    """No other error comes out."""
    data = bytearray(encoded())
    data[at : at + len(damage)] = damage
    try:
        tables = parse(bytes(data))
    except ShardError:
        return
    assert [row[:1] + row[2:] for row in tables.collections.values()] == [
        row[:1] + row[2:] for row in ROWS
    ]
    found = [tables.segment(number) for number in range(tables.segments)]
    assert [one.path for one in found] == [one.path for one in SEGMENTS]


@pytest.mark.parametrize(
    ("at", "number", "about"),
    [
        (8, 4, "version 4"),
        (16, 264, "sections do not follow"),
        (256 + 32, 1, "collection 0 is damaged"),
        (256 + 40, 9, "more files than there are"),
        (256 + 48, 9, "has 8 records, and says 9"),
        (256 + 3 * 72, 99, "names segment 99"),
        (256 + 3 * 72 + 8, 5, "file 0 of collection 0 is damaged"),
        (256 + 3 * 72 + 5 * 16, 5, "a text lies outside"),
        (256 + 3 * 72 + 5 * 16 + 8, 5, "payload of segment 0 is not where"),
        (256 + 3 * 72 + 5 * 16 + 24, 6, "segment 0 is damaged"),
        (256 + 3 * 72 + 5 * 16 + 56 + 32, 6, "segment 1 is damaged"),
        (256, 5, "not those that were written"),
    ],
)
def test_a_wrong_number_is_named(at: int, number: int, about: str) -> None:
    """Each of the tables is checked."""
    data = bytearray(encoded())
    data[at : at + 8] = struct.pack("<Q", number)
    with pytest.raises(ShardError, match=about):
        parse(bytes(data))
