"""ListingView: the tables of what was appended, by any process."""

from __future__ import annotations

from pathlib import Path

import torch  # noqa: F401 - this file is for environments that have it

from aisio.records import ObjectInfo
from aisio.sources.listing_table import encode_blocks
from aisio.sources.resolve import source
from aisio.training.listing.listing_file import MIN_MAPPED_BYTES, ListingFile, RecordKind
from aisio.training.listing.listing_view import ListingView

SOURCES = [source(Path("/a"))]


def block(*names: str) -> bytes:
    """Return a block with some objects."""
    (encoded,) = encode_blocks((0, ObjectInfo("file://", name)) for name in names)
    return encoded


def names(view: ListingView, part: int = 0) -> list[str]:
    """Return the names of a part."""
    return [info.name for _, info in view.table(part)]


def test_parts_grow_until_they_end() -> None:
    """Each for itself, in all processes that have the file."""
    file = ListingFile()
    writer, reader = ListingView(file, SOURCES), ListingView(file, SOURCES)
    assert writer.append(RecordKind.BLOCK, 0, block("a", "b")) == 2
    assert writer.append(RecordKind.BLOCK, 1, block("c")) == 1
    assert not reader.has_more(0, 0)
    reader.update()
    assert (names(reader), names(reader, 1)) == (["a", "b"], ["c"])
    assert reader.has_more(0, 1)
    assert not reader.has_more(0, 2)
    writer.append(RecordKind.END, 0)
    reader.update()
    assert reader.has_more(0, 2)
    assert reader.ended == {0}


def test_a_restart_forgets_the_rows() -> None:
    """And is counted: whoever has read some of them cannot go on."""
    view = ListingView(ListingFile(), SOURCES)
    view.append(RecordKind.BLOCK, 0, block("a"))
    before = view.table(0)
    view.append(RecordKind.RESTART, 0)
    view.append(RecordKind.BLOCK, 0, block("b"))
    assert (names(view), view.restarts[0], len(before)) == (["b"], 1, 1)


def test_what_this_rank_does_is_the_last_that_was_said() -> None:
    """By any of its processes."""
    view = ListingView(ListingFile(), SOURCES)
    view.append(RecordKind.PUBLISHED, 0)
    view.append(RecordKind.UNSHARED, 0)
    assert view.roles == {0: RecordKind.UNSHARED}


def test_a_large_table_is_that_of_the_file_when_it_is_complete() -> None:
    """Not a copy that each process has."""
    view = ListingView(ListingFile(), SOURCES)
    for letter in "abc":
        view.append(RecordKind.BLOCK, 0, block(letter, letter * (MIN_MAPPED_BYTES // 2)))
    before = view.table(0)
    view.append(RecordKind.END, 0)
    after = view.table(0)
    assert after is not before
    assert [*after] == [*before]
