from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from aisio.gateway.archives.index import (
    Archives,
    Index,
    form_of_file,
    form_of_mime,
    form_of_name,
    read_index,
)
from aisio.gateway.protocol.refusals import Refusal
from tests.gateway.archive_data import MEMBERS, make_archive, make_tar


def index_of(path: Path, form: str) -> Index:
    """Return what is in the archive of a file."""
    with io.FileIO(str(path)) as file:
        return Archives().index(file, os.fstat(file.fileno()), form)


@pytest.mark.parametrize("form", [".tar", ".tgz", ".zip"])
def test_members_are_in_the_order_of_the_archive(tmp_path: Path, form: str) -> None:
    """Names and sizes of every form; folders are told from files."""
    (tmp_path / "a").write_bytes(make_archive(form))
    index = index_of(tmp_path / "a", form)
    sizes = [(name, len(data)) for name, data in MEMBERS.items()]
    assert [(member.name, member.size_bytes) for member in index.members] == sizes
    assert (index.damage, index.form) == ("", form)


def test_a_member_is_found_by_its_path_and_the_first_of_two_counts(tmp_path: Path) -> None:
    """A leading slash means nothing on either side, "./" is part of the name, a folder is none."""
    (tmp_path / "a").write_bytes(make_tar({"x": b"1", "/x": b"22", "./y": b"3"}, folder="d"))
    index = index_of(tmp_path / "a", ".tar")
    first = index.find("x")
    assert first is not None
    assert first.size_bytes == 1
    assert [index.find(path) is not None for path in ("x", "/x", "y", "./y", "d", "z")] == [
        *(True, True, False, True, False, False)
    ]


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (make_tar()[:1000], ".tar"),
        (b"x" * 2000, ".tar"),
        (b"", ".tar"),
        (make_archive(".tgz")[:-20], ".tgz"),
        (b"no gzip", ".tgz"),
        (make_archive(".zip")[:-30], ".zip"),
    ],
)
def test_damage_is_told_and_what_comes_before_it_can_be_read(
    tmp_path: Path, data: bytes, form: str
) -> None:
    """Nothing a file holds makes the gateway fail."""
    (tmp_path / "a").write_bytes(data)
    index = index_of(tmp_path / "a", form)
    assert index.damage
    assert len(index.members) <= len(MEMBERS)


@pytest.mark.parametrize("form", [".tar", ".tgz"])
@pytest.mark.parametrize(("cut", "found"), [(1, ["a"]), (299, ["a"]), (300, ["a", "b"])])
def test_a_member_counts_only_if_its_payload_is_whole(
    tmp_path: Path, form: str, cut: int, found: list[str]
) -> None:
    """Also where the cut is in the last one; padding is no part of a payload."""
    tar = make_tar({"a": b"1", "b": b"2" * 300})[: 3 * 512 + cut]
    (tmp_path / "a").write_bytes(tar if form == ".tar" else gzip.compress(tar))
    index = index_of(tmp_path / "a", form)
    assert [member.name for member in index.members] == found
    assert "cut at byte" in index.damage


def test_of_an_archive_with_too_many_members_no_more_are_held(tmp_path: Path) -> None:
    """A small file can unpack to millions of empty members: it says so where one is missing."""
    for form in (".tar", ".tgz", ".zip"):
        (tmp_path / "a").write_bytes(make_archive(form))
        with io.FileIO(str(tmp_path / "a")) as file:
            index = read_index(file, form, most_members=3)
            assert len(index.members) == 3
            assert "over 3 members" in index.damage
            assert not read_index(file, form, most_members=4).damage


def test_an_archive_is_read_through_once_for_each_state(tmp_path: Path) -> None:
    """The same index is kept while the file is the same, and a new one made when it is not."""
    path, archives = tmp_path / "a", Archives()
    path.write_bytes(make_tar())
    with io.FileIO(str(path)) as file:
        status = os.fstat(file.fileno())
        assert archives.known(status, ".tar") is None
        first = archives.index(file, status, ".tar")
        assert archives.index(file, status, ".tar") is first
        assert archives.known(status, ".tar") is first
    path.write_bytes(make_tar({"new": b"1"}))
    with io.FileIO(str(path)) as file:
        assert archives.index(file, os.fstat(file.fileno()), ".tar").find("new") is not None


def test_the_oldest_indices_go_when_there_are_too_many_members(
    tmp_path: Path,
) -> None:
    """Memory is bounded by members, and what is in use stays."""
    archives, states = Archives(most_members=2 * len(MEMBERS)), []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_bytes(make_tar())
        with io.FileIO(str(path)) as file:
            states.append(os.fstat(file.fileno()))
            archives.index(file, states[-1], ".tar")
            archives.known(states[0], ".tar")
    assert [archives.known(state, ".tar") is not None for state in states] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.tar", ".tar"),
        ("a.tgz", ".tgz"),
        ("a.tar.gz", ".tgz"),
        ("a.zip", ".zip"),
        ("a.tar.lz4", ".tar.lz4"),
        ("a.tar.x", ""),
        ("a.gz", ""),
        ("tar", ""),
    ],
)
def test_a_name_says_its_form(name: str, form: str) -> None:
    """By its ending alone."""
    assert form_of_name(name) == form


@pytest.mark.parametrize("form", [".tar", ".tgz", ".zip"])
def test_the_first_bytes_say_it_where_the_name_does_not(tmp_path: Path, form: str) -> None:
    """As AIStore detects it; the client's word comes first."""
    (tmp_path / "a").write_bytes(make_archive(form))
    with io.FileIO(str(tmp_path / "a")) as file:
        assert form_of_file(file, "name") == form
        assert form_of_file(file, "name.zip", "application/x-tar") == ".tar"
    (tmp_path / "b").write_bytes(b"text")
    with io.FileIO(str(tmp_path / "b")) as file, pytest.raises(Refusal) as caught:
        form_of_file(file, "b")
    assert caught.value.status == 400


def test_an_unknown_form_is_refused() -> None:
    """With AIStore's code."""
    assert form_of_mime("") == ""
    with pytest.raises(Refusal) as caught:
        form_of_mime(".rar")
    assert (caught.value.status, caught.value.tcode) == (400, "errUnknownMime")
