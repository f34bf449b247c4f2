"""load_tar_index: an index is used only with its own tar."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import NotFoundError, ShardError
from aisio.formats.tar_index_file import encode_tar_index
from aisio.shards.index import ShardIndex
from aisio.shards.tar_index_loading import StoredFile, load_tar_index
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.tars import pack, typed

DATA = pack(("a", b"1" * 600), ("b", b"2"), ("c", b""))
STARTS, END = [0, 1536, 2560], 3072


def load(folder: Path, data: bytes, index: bytes) -> ShardIndex:
    """Write a tar and an index, and load them."""
    files = []
    for name, content in (("o.tar", data), ("o.idx", index)):
        (folder / name).write_bytes(content)
        files.append(StoredFile(LocalStore(), ObjectUrl.parse(f"file://{folder}/{name}")))
    return load_tar_index(*files)


def test_files_are_samples(tmp_path: Path) -> None:
    """Without names and hashes, pinned to the version of the tar."""
    index = load(tmp_path, DATA, encode_tar_index(STARTS, END))
    spans = [index.span(number) for number in range(len(index))]
    assert [(span.offset, span.size_bytes) for span in spans] == [
        (0, 1536),
        (1536, 1024),
        (2560, 512),
    ]
    assert not index.has_names
    assert {span.xxh3 for span in spans} == {None}
    assert index.shard(0).pin.startswith("mtime:")


def test_padding_of_tapes_is_no_other_archive(tmp_path: Path) -> None:
    """Tools fill archives up with zeros."""
    assert len(load(tmp_path, DATA + bytes(10240), encode_tar_index(STARTS, END))) == 3


@pytest.mark.parametrize(
    ("data", "starts", "end", "text"),
    [
        (DATA[:3072], STARTS, END, "the end of the archive at byte 3,072, and the tar has 3,072"),
        (DATA[:1024], STARTS, END, "the end of the archive at byte 3,072, and the tar has 1,024"),
        (DATA + bytes(2 << 20), STARTS, END, "the tar has 2,101,248 bytes"),
        (DATA, STARTS[:2], 2560, "the archive does not end at byte 2,560"),
        (DATA, [512, *STARTS[1:]], END, "no file begins at byte 512"),
        (DATA, [0, 1024], END, "no file begins at byte 1,024"),
        (typed(b"0", "x", bytes(2560)) + bytes(1024), STARTS, END, "no file begins at byte 2,560"),
    ],
)
def test_oss_16_an_index_of_another_tar_is_told(
    tmp_path: Path, data: bytes, starts: list[int], end: int, text: str
) -> None:
    """By the size, by where the archive ends, by headers."""
    with pytest.raises(ShardError, match=rf"o\.idx: this is not the index of .*o\.tar.*{text}"):
        load(tmp_path, data, encode_tar_index(starts, end))


def test_a_damaged_index_names_itself(tmp_path: Path) -> None:
    """And what to do."""
    with pytest.raises(ShardError, match=r"o\.idx: this index of a tar cannot be used: .*make it"):
        load(tmp_path, DATA, b"TarIdx")


def test_what_is_missing(tmp_path: Path) -> None:
    """Either of them."""
    missing = StoredFile(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/none"))
    load(tmp_path, DATA, encode_tar_index(STARTS, END))
    for name in ("o.tar", "o.idx"):
        there = StoredFile(LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/{name}"))
        both = (there, missing) if name == "o.tar" else (missing, there)
        with pytest.raises(NotFoundError, match="none"):
            load_tar_index(*both)
