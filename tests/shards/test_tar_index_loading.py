"""load_tar_index: an index is used only with its own tar."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from aisio.errors import NotFoundError, ShardError
from aisio.formats.tar_index_file import encode_tar_index
from aisio.shards.index import ShardIndex
from aisio.shards.tar_index_loading import StoredFile, load_tar_index
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.tars import pack, pack_by_tarfile, typed

DATA = pack(("a", b"1" * 600), ("b", b"2"), ("c", b""))
STARTS, END = [0, 1536, 2560], 3072
LONG = pack_by_tarfile([("x" * 150, b"1"), ("c", b"")], tarfile.GNU_FORMAT)
FOLDER = typed(b"5", "dir") + bytes(1024)


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


@pytest.mark.parametrize("padding_bytes", [10240, 2 << 20])
def test_padding_of_tapes_is_no_other_archive(tmp_path: Path, padding_bytes: int) -> None:
    """Tools fill archives up with zeros."""
    assert len(load(tmp_path, DATA + bytes(padding_bytes), encode_tar_index(STARTS, END))) == 3


def test_folders_and_links_may_come_first(tmp_path: Path) -> None:
    """They have no entry."""
    data = typed(b"5", "dir") + typed(b"2", "link") + DATA
    starts = [1024 + start for start in STARTS]
    assert len(load(tmp_path, data, encode_tar_index(starts, 1024 + END))) == 3


def test_a_tar_without_files(tmp_path: Path) -> None:
    """As the OSS connector makes one of an empty folder."""
    assert len(load(tmp_path, typed(b"5", "dir") + bytes(1024), encode_tar_index([], 512))) == 0


def test_a_global_header_that_changes_files_is_told(tmp_path: Path) -> None:
    """A file that is read alone would not have it."""
    record = typed(b"g", "g", b"10 path=G\n")
    starts = [0, *(1024 + start for start in STARTS[1:])]
    with pytest.raises(ShardError, match=r"o\.tar: a global PAX header says something"):
        load(tmp_path, record + DATA, encode_tar_index(starts, 1024 + END))
    comment = typed(b"g", "g", b"13 comment=1\n")
    assert len(load(tmp_path, comment + DATA, encode_tar_index(starts, 1024 + END))) == 3


@pytest.mark.parametrize(
    ("data", "starts", "end", "text"),
    [
        (DATA[:3072], STARTS, END, "the end of the archive at byte 3,072, and the tar has 3,072"),
        (DATA[:1024], STARTS, END, "the end of the archive at byte 3,072, and the tar has 1,024"),
        (DATA + bytes(2 << 20) + b"x", STARTS, END, "the archive does not end at byte 3,072"),
        (DATA + DATA, STARTS, END, "the archive does not end at byte 3,072"),
        (DATA, STARTS[:2], 2560, "the archive does not end at byte 2,560"),
        (DATA, [512, *STARTS[1:]], END, "the first file at byte 512, and the tar has it at byte 0"),
        (DATA, STARTS[1:], END, "the first file at byte 1,536, and the tar has it at byte 0"),
        (LONG, [1024, 2048], 2560, "the first file at byte 1,024, and the tar has it at byte 0"),
        (DATA, [], END, "it has no file, and the tar has it at byte 0"),
        (FOLDER, [0], 512, "the first file at byte 0, and the tar has none"),
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
