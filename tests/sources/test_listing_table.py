"""ListingTable: the rows are those that went in, in a few tens of bytes each."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.records import Checksum, ObjectInfo
from aisio.sources.base import Source
from aisio.sources.digest import ListingDigest
from aisio.sources.listing_table import ListingTable, encode_blocks
from aisio.sources.resolve import source

SOURCES: list[Source] = [source(Path("/a")), source(Path("/b"))]

_texts = st.text(max_size=6)
_checksums = st.none() | st.builds(
    Checksum,
    st.sampled_from(["xxhash2", "md5"]),
    st.sampled_from(["0123456789abcdef", "ff", "0", "AB", "", "no digits"]),
)
_infos = st.builds(
    ObjectInfo,
    st.sampled_from(["ais://a", "s3://b"]),
    st.text(st.characters(), max_size=8),
    st.none() | st.integers(0, 1 << 60),
    _checksums,
    _texts,
    _texts,
    st.sampled_from([0.0, 1.5e9]),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), _texts, max_size=2),
    _texts,
)


def imagenet(count: int) -> Iterator[tuple[int, ObjectInfo]]:
    """Yield rows like those of a bucket with ImageNet."""
    for number in range(count):
        folder = f"n{number // 1300:08d}"
        yield (
            0,
            ObjectInfo(
                "ais://imagenet",
                f"train/{folder}/{folder}_{number}.JPEG",
                100_000 + number % 7919,
                Checksum("xxhash2", f"{number * 0x9E3779B97F4A7C15 & (1 << 64) - 1:016x}"),
            ),
        )


@given(st.lists(st.tuples(st.integers(0, 1), _infos), max_size=200))
def test_rows_come_out_as_they_went_in(rows: list[tuple[int, ObjectInfo]]) -> None:
    """By index, in order, and after pickling; whatever a store reports."""
    table = ListingTable(SOURCES, encode_blocks(rows))
    expected = [(SOURCES[number], info) for number, info in rows]
    assert len(table) == len(expected)
    assert [*table] == [table[index] for index in range(len(table))] == expected
    assert [table[index - len(rows)] for index in range(len(rows))] == expected
    copy = pickle.loads(pickle.dumps(table))
    assert [info for _, info in copy] == [info for _, info in rows]
    sizes = [-1 if info.size_bytes is None else info.size_bytes for _, info in rows]
    assert copy.sizes().tolist() == sizes


def test_there_is_no_object_for_a_row() -> None:
    """And fewer than a hundred bytes, so that ten million rows fit into a gigabyte."""
    before = len(gc.get_objects())
    table = ListingTable(SOURCES, encode_blocks(imagenet(20_000)))
    assert len(gc.get_objects()) - before < 500
    assert sum(map(len, table.blocks)) < 50 * len(table)
    assert len(pickle.dumps(table)) < 50 * len(table)


def _name_of(table: ListingTable, index: int, pipe: Any) -> None:
    pipe.send((len(table), table[index][1].name))


def test_a_process_that_is_started_shares_a_large_table() -> None:
    """It receives a file, not the bytes; so does the next one."""
    rows = 50_000
    table = ListingTable(SOURCES, encode_blocks(imagenet(rows)))
    context: Any = multiprocessing.get_context("spawn")
    last = table[-1][1].name
    for _ in range(2):
        mine, theirs = context.Pipe()
        process = context.Process(target=_name_of, args=(table, -1, theirs))
        process.start()
        assert mine.recv() == (rows, last)
        process.join()
    assert table[-1][1].name == last
    assert [info for _, info in table] == [info for _, info in imagenet(rows)]


def test_a_reader_waits_for_no_more_rows_than_there_are() -> None:
    """The first blocks of a listing are small, as its reader needs an object soon."""
    counts = [len(ListingTable(SOURCES, [block])) for block in encode_blocks(imagenet(40_000))]
    assert counts[:4] == [64, 64, 128, 256]
    assert max(counts) == 8192
    assert sum(counts) == 40_000


def test_blocks_stay_small_where_names_are_long() -> None:
    """They are sent to other ranks as messages."""
    rows = ((0, ObjectInfo("ais://a", f"{number}" + "x" * 1000)) for number in range(2000))
    assert max(map(len, encode_blocks(rows))) < 1 << 20


def test_what_came_before_an_error_is_there() -> None:
    """A reader gets these objects, then the error."""

    def rows() -> Iterator[tuple[int, ObjectInfo]]:
        yield from imagenet(3)
        raise OSError("gone")

    blocks = encode_blocks(rows())
    assert len(ListingTable(SOURCES, [next(blocks)])) == 3
    with pytest.raises(OSError, match="gone"):
        next(blocks)


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_has_bounds(index: int) -> None:
    """As in a list."""
    with pytest.raises(IndexError, match="of a listing of 3 objects"):
        ListingTable(SOURCES, encode_blocks(imagenet(3)))[index]


def test_its_digest_is_that_of_the_objects() -> None:
    """A Loader's state from before has the same."""
    table, direct = ListingDigest(""), ListingDigest("")
    for _, info in ListingTable(SOURCES, encode_blocks(imagenet(300))):
        table.add(info)
    for _, info in imagenet(300):
        direct.add(info)
    assert table.text() == direct.text()
