"""Columns of a shard index: strings, widths, and columns that do not fit each other."""

from __future__ import annotations

from array import array

import pytest

from aisio.errors import ConfigError, IntegrityError
from aisio.formats.index_file import IndexFile, PartBytes, file_pieces
from aisio.shards.index import ShardIndex
from aisio.shards.index_columns import Run, joined_parts, shard_parts, shard_urls


def parts_of(size_bytes: int, *, hashes: bool = True) -> dict[str, PartBytes]:
    """Return the parts of the index of a shard with one sample of this size."""
    spans = (array("Q", [0]), array("Q", [size_bytes]), array("Q", [5]) if hashes else None)
    return shard_parts("ais://b/a.tar", 1 << 40, "", spans=spans, samples=1, keys=["a"])


def file_of(parts: dict[str, PartBytes]) -> IndexFile:
    """Return the index file with these parts."""
    return IndexFile(b"".join(file_pieces(parts)), "x")


def whole(*files: IndexFile) -> list[Run]:
    """Return all shards of these."""
    return [Run(file, shard_urls(file), 0, file.count("shard.size")) for file in files]


@pytest.mark.parametrize(("size_bytes", "item"), [((1 << 32) - 1, 4), (1 << 32, 8)])
def test_sizes_take_4_bytes_where_they_fit(size_bytes: int, item: int):
    """So 10 million samples take 200 MB, not 240."""
    sizes = file_of(parts_of(size_bytes)).numbers("sample.size")
    assert (list(sizes), sizes.itemsize) == ([size_bytes], item)


def test_joined_sizes_take_the_widest():
    """In any order."""
    narrow, wide = file_of(parts_of(512)), file_of(parts_of(1 << 33))
    sizes = file_of(joined_parts(whole(narrow, wide, narrow), names=True)).numbers("sample.size")
    assert (list(sizes), sizes.itemsize) == ([512, 1 << 33, 512], 8)


def test_strings_of_any_text():
    """Lone surrogates stand for bytes of names that are not UTF-8."""
    urls = ["", "ais://b/\udcff.tar", "ais://b/ä"]
    parts = [file_of(shard_parts(url, 1, "", spans=None, samples=0, keys=None)) for url in urls]
    column = shard_urls(file_of(joined_parts(whole(*parts), names=True)))
    assert list(column) == column[:] == urls
    assert column[1:] == urls[1:]


def test_urls_in_a_folder_are_those_of_its_copy():
    """Of any part of the shards, and joined again; what is not in the folder is refused."""
    urls = ["ais://b/t/x/1.tar", "ais://b/t/\udcff.tar"]
    parts = [file_of(shard_parts(url, 1, "", spans=None, samples=0, keys=None)) for url in urls]
    file = file_of(joined_parts(whole(*parts), names=True, folder="ais://b/t/"))
    assert list(shard_urls(file)) == urls
    moved = shard_urls(file, "s3://c/")
    assert list(moved) == moved[:] == ["s3://c/x/1.tar", "s3://c/\udcff.tar"]
    joined = file_of(joined_parts([Run(file, moved, 1, 2), *whole(*parts)], names=True))
    assert list(shard_urls(joined, "ignored/")) == [moved[1], *urls]
    with pytest.raises(ConfigError, match=r"ais://b/t/x/1.tar is not in ais://b/t/y/"):
        joined_parts(whole(*parts), names=True, folder="ais://b/t/y/")


@pytest.mark.parametrize("part", ["sample.offset", "sample.size", "sample.hash"])
def test_columns_of_different_length_are_refused(part: str):
    """An index that is whole, and wrong: a bug, or a forgery."""
    parts = parts_of(512) | {part: array("Q", [1, 2])}
    with pytest.raises(IntegrityError, match="its columns differ in length"):
        ShardIndex(file_of(parts))


def test_columns_of_shards_and_names_are_compared_too():
    """When they are first used."""
    for part in ("shard.size", "shard.pin.end", "shard.flags", "shard.url"):
        wrong = array("Q", [0, 0]) if part != "shard.flags" else b"\1\1"
        with pytest.raises(IntegrityError, match="differs? in length"):
            ShardIndex(file_of(parts_of(512) | {part: wrong})).shard(0)
    for part in ("name.end", "name.base"):
        with pytest.raises(IntegrityError, match="its columns differ in length"):
            ShardIndex(file_of(parts_of(512) | {part: array("Q", [0, 0])})).key(0)


def test_missing_hashes_become_zeros():
    """A flag of the shard says that they are none."""
    files = [file_of(parts_of(512, hashes=False)), file_of(parts_of(512))]
    assert list(file_of(joined_parts(whole(*files), names=True)).numbers("sample.hash")) == [0, 5]
