from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.archive_data import make_archive, make_tar
from tests.gateway.conftest import Served

ARCHIVES = "8"
IS_ARCHIVE, IN_ARCHIVE, PLAIN = 576, 192, 64


def entries(bucket: Served, **message: Any) -> list[tuple[str, str, int]]:
    """Return name, size and flags of all entries, page by page."""
    found, token = [], ""
    while True:
        page = bucket.list(flags=ARCHIVES, continuation_token=token, **message).json()
        for entry in page["entries"] or []:
            found.append((entry["name"], entry.get("size", "0"), entry["flags"]))
        token = page["continuation_token"]
        if not token:
            return found


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_members_follow_their_archive_sorted_by_name(bucket: Served, ending: str) -> None:
    """The flags say what is an archive, and what is in one."""
    members = {"b": b"22", "a/x": b"1", "a/b": b"333"}
    data = make_archive(ending, members)
    bucket.put(f"s{ending}", data)
    assert entries(bucket) == [
        (f"s{ending}", str(len(data)), IS_ARCHIVE),
        (f"s{ending}/a/b", "3", IN_ARCHIVE),
        (f"s{ending}/a/x", "1", IN_ARCHIVE),
        (f"s{ending}/b", "2", IN_ARCHIVE),
    ]


def test_archives_without_the_ending_and_damaged_ones_are_plain_objects(bucket: Served) -> None:
    """A listing does not open files whose name is not an archive's."""
    bucket.put("bad.tar", b"x" * 600)
    bucket.put("tar", make_tar())
    assert [(name, flags) for name, _, flags in entries(bucket)] == [
        ("bad.tar", PLAIN),
        ("tar", PLAIN),
    ]


def test_names_that_are_not_utf_8_are_shown_with_replacements(bucket: Served) -> None:
    """One such member must not fail the listing."""
    bucket.put("s.tar", make_tar({"a\udcffb": b"1", "c": b"2"}))
    assert [name for name, _, _ in entries(bucket)] == ["s.tar", "s.tar/a\ufffdb", "s.tar/c"]


def test_folders_are_left_out_and_names_are_normalized(bucket: Served) -> None:
    """Leading slashes and "./" are removed; a name that occurs twice is listed twice."""
    bucket.put("s.tar", make_tar({"/x": b"", "./y": b"", "y": b""}, folder="d"))
    assert [name for name, _, _ in entries(bucket)] == ["s.tar", "s.tar/x", "s.tar/y", "s.tar/y"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_pages_add_up_whatever_their_size(bucket: Served, size: int) -> None:
    """In bytewise order over objects and members, so that a page may end inside an archive."""
    for name in ("s.tar", "s.tar.idx", "s.tar-x", "s.tar2", "t.tar", "u"):
        data = make_tar({"m": b"", "k": b"", "k2": b""}) if name.endswith(".tar") else b"x"
        bucket.put(name, data)
    names = [name for name, _, _ in entries(bucket, pagesize=size)]
    assert names == [
        *("s.tar", "s.tar-x", "s.tar.idx", "s.tar/k", "s.tar/k2", "s.tar/m", "s.tar2"),
        *("t.tar", "t.tar/k", "t.tar/k2", "t.tar/m", "u"),
    ]


def test_a_page_does_not_end_between_equal_names(bucket: Served) -> None:
    """The next page begins after that name: the second one would be lost."""
    bucket.put("s.tar", make_tar({"a": b"", "/a": b"", "b": b""}))
    names = [name for name, _, _ in entries(bucket, pagesize=2)]
    assert names == ["s.tar", "s.tar/a", "s.tar/a", "s.tar/b"]


def test_a_prefix_selects_objects(bucket: Served) -> None:
    """An archive with all its members, and no members alone."""
    bucket.put("s.tar", make_tar({"a": b""}))
    bucket.put("t.tar", make_tar({"a": b""}))
    assert [name for name, _, _ in entries(bucket, prefix="s.")] == ["s.tar", "s.tar/a"]
    assert entries(bucket, prefix="s.tar/a") == []


@pytest.mark.parametrize("flags", [8 | 16, 8 | 32])
def test_name_only_listings_have_members_too(bucket: Served, flags: int) -> None:
    """With their size in each kind of listing."""
    bucket.put("s.tar", make_tar({"a": b"xyz"}))
    listed = bucket.list(flags=str(flags)).json()["entries"]
    assert [entry["name"] for entry in listed] == ["s.tar", "s.tar/a"]
    assert listed[1] == {"name": "s.tar/a", "size": "3", "flags": IN_ARCHIVE}


@pytest.mark.parametrize("key", ["start_after", "continuation_token"])
@pytest.mark.parametrize("place", ["../{}-2/s.tar", "./../{}-2/s.tar", "d/../../{}-2/s.tar"])
def test_a_listing_does_not_leave_its_bucket(
    bucket: Served, served_folder: Path, place: str, key: str
) -> None:
    """The name to continue from may be any text, and archives that it begins with are opened."""
    other = served_folder / f"{bucket.name}-2"
    other.mkdir()
    (other / "s.tar").write_bytes(make_tar())
    bucket.put("d/o", b"")
    start = f"{place.format(bucket.name)}/"
    assert bucket.names(flags=ARCHIVES, **{key: start}) == ["d/o"]
