"""MemberReader: files of a tar by their numbers, each checked to be what the index says."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import pytest

from aisio.errors import IntegrityError, ShardError
from aisio.formats.tar_index_file import encode_tar_index
from aisio.shards.member_reader import CONTENT, MemberReader
from aisio.shards.tar_index_loading import StoredFile, load_tar_index
from aisio.shards.tar_packing import index_tar
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.tars import gnu_sparse, pack, pack_all_kinds, typed


def reader_of(folder: Path, data: bytes, index: bytes | None = None) -> MemberReader:
    """Return the reader of a tar, by an index, or by its own."""
    tar, idx = folder / "o.tar", folder / "o.idx"
    tar.write_bytes(data)
    if index is None:
        index_tar(tar, idx, overwrite=True)
    else:
        idx.write_bytes(index)
    files = [StoredFile(LocalStore(), ObjectUrl.parse(f"file://{path}")) for path in (tar, idx)]
    return MemberReader(load_tar_index(*files), files[0], files[1].url, reader="Reader")


def read(reader: MemberReader, *numbers: int) -> list[tuple[int, str, bytes]]:
    """Return number, name and content of files."""
    runs = reader.read_runs(reader.plan(numbers))
    return [(number, one.key, one.fields[CONTENT]) for run in runs for number, one in run]


MANY = pack(*((f"{number:04d}", b"%d" % number * 100) for number in range(3000)))


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_oss_15_names_and_contents(tmp_path: Path, tar_format: int) -> None:
    """Long names, prefixes; folders and links between files; a leading "./" goes."""
    found = read(reader_of(tmp_path, pack_all_kinds(tar_format)), *range(4))
    with tarfile.open(tmp_path / "o.tar") as archive:
        expected = [
            (one.name.removeprefix("./"), file.read())
            for one in archive
            if one.isreg() and (file := archive.extractfile(one)) is not None
        ]
    assert [(name, content) for _, name, content in found] == expected[:4]


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Any order, as often as they are named."""
    reader = reader_of(tmp_path, MANY)
    numbers = [5, 6, 7, 2999, 0, 7, 7, 6, 5, *range(2000)]
    found = read(reader, *numbers)
    assert [number for number, _, _ in found] == numbers
    assert all(name == f"{number:04d}" for number, name, _ in found)
    assert all(content == b"%d" % number * 100 for number, _, content in found)


def test_neighbours_are_one_run(tmp_path: Path) -> None:
    """Those before them are not."""
    reader = reader_of(tmp_path, MANY)
    assert [run.numbers for run in reader.plan([3, 4, 5, 2, 1, 2])] == [[3, 4, 5], [2], [1, 2]]
    assert len(list(reader.plan([]))) == 0


def test_planning_reads_no_further_than_needed(tmp_path: Path) -> None:
    """The numbers may be those of a long epoch."""
    numbers = iter(range(3000))
    next(reader_of(tmp_path, MANY).plan(numbers))
    assert next(numbers) < 1100


def test_no_such_file(tmp_path: Path) -> None:
    """IndexError, as for samples."""
    with pytest.raises(IndexError):
        read(reader_of(tmp_path, MANY), 3000)


@pytest.mark.parametrize(
    ("starts", "number", "text"),
    [
        ([0, 512, 2048], 1, "a tar header is due here"),
        ([0, 2048], 0, "file number 0 is not at byte 0, or is not alone"),
    ],
)
def test_oss_16_an_index_that_is_wrong_in_the_middle_is_told(
    tmp_path: Path, starts: list[int], number: int, text: str
) -> None:
    """By the first file that is read by it."""
    data = pack(("a", b"1"), ("b", b"2"), ("c", b"3"))
    reader = reader_of(tmp_path, data, encode_tar_index(starts, 3072))
    with pytest.raises(ShardError, match=rf"<Reader> .*o\.idx: this is not the index .*{text}"):
        read(reader, number)


@pytest.mark.parametrize("other", [typed(b"5", "dir"), typed(b"2", "link"), gnu_sparse("s")])
def test_oss_16_what_is_no_regular_file_is_told(tmp_path: Path, other: bytes) -> None:
    """Folders, links, sparse files."""
    first, last = typed(b"0", "a", b"1"), typed(b"0", "c", b"3")
    starts = [0, 1024, 1024 + len(other)]
    data = first + other + last + bytes(1024)
    reader = reader_of(tmp_path, data, encode_tar_index(starts, len(data) - 1024))
    with pytest.raises(ShardError, match="file number 1 is not at byte 1,024"):
        read(reader, 1)
    assert read(reader, 0, 2) == [(0, "a", b"1"), (2, "c", b"3")]


def test_a_tar_that_was_replaced_is_told(tmp_path: Path) -> None:
    """The index may fit it by chance."""
    reader = reader_of(tmp_path, MANY)
    os.utime(tmp_path / "o.tar", (1, 1))
    with pytest.raises(IntegrityError, match=r"<Reader> .*o\.tar: the tar was replaced since"):
        read(reader, 0)


def test_it_pickles(tmp_path: Path) -> None:
    """As workers need it."""
    reader = pickle.loads(pickle.dumps(reader_of(tmp_path, MANY)))
    assert read(reader, 7) == [(7, "0007", b"7" * 100)]


def test_a_global_header_between_files_is_told(tmp_path: Path) -> None:
    """A file read alone would not have what the header says of it."""
    first, last = pack(("a", b"1"))[:1024], pack(("c", b"3"))
    data = first + typed(b"g", "global", b"19 path=other/name\n") + last
    index = encode_tar_index([0, 1024], len(data) - 1024)
    with pytest.raises(ShardError, match=r"o\.idx.* global PAX header behind byte 1,024 says"):
        read(reader_of(tmp_path, data, index), 1)
