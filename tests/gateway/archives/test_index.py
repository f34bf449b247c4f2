from __future__ import annotations

import gzip
import io
import os
import struct
from pathlib import Path

import pytest

from aisio.gateway.archives.index import Index, read_index
from aisio.gateway.archives.index_cache import IndexCache
from tests.gateway.archive_data import MEMBERS, make_archive, make_tar


def index_of(path: Path, ending: str) -> Index:
    """Return the index of an archive."""
    with io.FileIO(str(path)) as file:
        return IndexCache().load(file, os.fstat(file.fileno()), ending)


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_members_are_in_the_order_of_the_archive(tmp_path: Path, ending: str) -> None:
    """With their names and sizes, in every format."""
    (tmp_path / "a").write_bytes(make_archive(ending))
    index = index_of(tmp_path / "a", ending)
    sizes = [(name, len(data)) for name, data in MEMBERS.items()]
    assert [(member.name, member.size_bytes) for member in index.members] == sizes
    assert (index.damage, index.format) == ("", ending)


def test_a_member_is_found_by_its_path(tmp_path: Path) -> None:
    """The first of several; a leading slash does not count, "./" does; folders are not found."""
    (tmp_path / "a").write_bytes(make_tar({"x": b"1", "/x": b"22", "./y": b"3"}, folder="d"))
    index = index_of(tmp_path / "a", ".tar")
    first = index.find("x")
    assert first is not None
    assert first.size_bytes == 1
    assert [index.find(path) is not None for path in ("x", "/x", "y", "./y", "d", "z")] == [
        *(True, True, False, True, False, False)
    ]


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (make_tar()[:1000], ".tar"),
        (b"x" * 2000, ".tar"),
        (b"", ".tar"),
        (make_archive(".tgz")[:-20], ".tgz"),
        (b"no gzip", ".tgz"),
        (make_archive(".zip")[:-30], ".zip"),
    ],
)
def test_an_index_says_what_is_damaged(tmp_path: Path, data: bytes, ending: str) -> None:
    """The members before the damage can be read; no content makes the gateway fail."""
    (tmp_path / "a").write_bytes(data)
    index = index_of(tmp_path / "a", ending)
    assert index.damage
    assert len(index.members) <= len(MEMBERS)


@pytest.mark.parametrize("ending", [".tar", ".tgz"])
@pytest.mark.parametrize(("cut", "found"), [(1, ["a"]), (299, ["a"]), (300, ["a", "b"])])
def test_a_member_counts_only_if_its_payload_is_complete(
    tmp_path: Path, ending: str, cut: int, found: list[str]
) -> None:
    """Also the last one; padding is not part of a payload."""
    tar = make_tar({"a": b"1", "b": b"2" * 300})[: 3 * 512 + cut]
    (tmp_path / "a").write_bytes(tar if ending == ".tar" else gzip.compress(tar))
    index = index_of(tmp_path / "a", ending)
    assert [member.name for member in index.members] == found
    assert "cut at byte" in index.damage


def test_the_number_of_members_is_limited(tmp_path: Path) -> None:
    """A small file can decompress to millions of empty members."""
    for ending in (".tar", ".tgz", ".zip"):
        (tmp_path / "a").write_bytes(make_archive(ending))
        with io.FileIO(str(tmp_path / "a")) as file:
            index = read_index(file, ending, max_members=3)
            assert len(index.members) == 3
            assert "over 3 members" in index.damage
            assert not read_index(file, ending, max_members=4).damage


@pytest.mark.parametrize("ending", [".tgz", ".zip"])
def test_long_names_count_as_several_members(tmp_path: Path, ending: str) -> None:
    """A name may have 1 MiB in a tar and 64 KiB in a zip, and compresses to almost nothing."""
    (tmp_path / "a").write_bytes(
        make_archive(ending, {f"{n}{'x' * 60_000}": b"" for n in range(9)})
    )
    with io.FileIO(str(tmp_path / "a")) as file:
        index = read_index(file, ending, max_members=500)
        assert len(index.members) == 4
        assert "over 500 members" in index.damage
        assert not read_index(file, ending, max_members=1100).damage


def test_a_member_of_a_zip_may_have_no_name(tmp_path: Path) -> None:
    """A hostile one does; the others can be read."""
    archive = bytearray(make_archive(".zip", {"a": b"1", "m": b"2", "d/": b""}))
    entry = archive.index(b"PK\x01\x02")
    # The one byte of the name becomes the extra field: PKWARE's APPNOTE, 4.3.7 and 4.3.12.
    for lengths_at in (26, entry + 28):
        struct.pack_into("<2H", archive, lengths_at, 0, 1)
    (tmp_path / "a").write_bytes(archive)
    index = index_of(tmp_path / "a", ".zip")
    assert [(member.name, member.is_folder) for member in index.members] == [
        ("", False),
        ("m", False),
        ("d/", True),
    ]
