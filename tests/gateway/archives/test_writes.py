from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from aisio.gateway.archives.content import NewMember
from aisio.gateway.archives.index import Archives
from aisio.gateway.archives.writes import write_archive
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import ChangedRefusal, Folder
from tests.gateway.archive_data import MEMBERS, make_archive, make_tar, read_archive
from tests.gateway.conftest import Served


def put_member(bucket: Served, name: str, path: str, data: bytes, pine: str = "0") -> int:
    """Put a member into an archive; return the status."""
    url = bucket.url(name, f"?archpath={path}")
    return bucket.http.put(url, data=data, headers={"Ais-Pine": pine}).status_code


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_a_member_is_appended_to_an_archive(bucket: Served, ending: str) -> None:
    """What was there stays in front of it."""
    bucket.put(f"s{ending}", make_archive(ending))
    assert put_member(bucket, f"s{ending}", "new/x", b"data", "1") == 200
    found = read_archive(bucket.get(f"s{ending}").content)
    assert found == [*MEMBERS.items(), ("new/x", b"data")]
    assert bucket.get(f"s{ending}", "?archpath=new/x").content == b"data"


def test_an_appended_tar_keeps_its_bytes(bucket: Served) -> None:
    """The new member takes the place of the end of the archive."""
    before = make_tar()
    bucket.put("s.tar", before)
    put_member(bucket, "s.tar", "x", b"data", "2")
    after = bucket.get("s.tar").content
    assert after.startswith(before.rstrip(b"\0"))


@pytest.mark.parametrize(
    ("pine", "exists", "status", "names"),
    [
        ("0", True, 200, ["x"]),
        ("0", False, 200, ["x"]),
        ("1", False, 404, []),
        ("2", False, 200, ["x"]),
        ("2", True, 200, [*MEMBERS, "x"]),
    ],
)
def test_the_header_says_whether_it_is_a_new_archive(
    bucket: Served, pine: str, exists: bool, status: int, names: list[str]
) -> None:
    """0 makes a new one, 1 wants one to be there, 2 takes what there is."""
    if exists:
        bucket.put("s.tar", make_tar())
    assert put_member(bucket, "s.tar", "x", b"data", pine) == status
    if names:
        assert [name for name, _ in read_archive(bucket.get("s.tar").content)] == names


@pytest.mark.parametrize(
    ("name", "path"), [("s.rar", "x"), ("s.tar", "/"), ("s.tar", "x/"), ("bad.tar", "x")]
)
def test_what_cannot_be_done_changes_nothing(bucket: Served, name: str, path: str) -> None:
    """An unknown form, a path that no file can have, a damaged archive."""
    bucket.put("bad.tar", b"x" * 600)
    assert put_member(bucket, name, path, b"data", "2") == 400
    assert bucket.get("bad.tar").content == b"x" * 600
    assert sorted(bucket.names()) == ["bad.tar"]


@pytest.mark.parametrize("ending", [".tar", ".zip"])
def test_members_put_at_the_same_time_are_all_there(bucket: Served, ending: str) -> None:
    """Each is put behind what the one before has left."""
    names = [f"m{number}" for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        found = pool.map(lambda name: put_once(bucket, f"all{ending}", name), names)
        assert set(found) == {200}
    archive = read_archive(bucket.get(f"all{ending}").content)
    assert sorted(archive) == sorted((name, name.encode()) for name in names)


def put_once(bucket: Served, name: str, path: str) -> int:
    """Put a member on a connection of its own; return the status."""
    url = bucket.url(name, f"?archpath={path}")
    return requests.put(url, path.encode(), headers={"Ais-Pine": "2"}).status_code


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Return a served folder with a bucket and an archive in it."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "s.tar").write_bytes(make_tar())
    folder = Folder(str(tmp_path))
    folder.open()
    yield folder
    folder.close()


def test_an_archive_that_changes_while_it_is_appended_to_stays_as_it_is(
    folder: Folder, tmp_path: Path
) -> None:
    """What another stored meanwhile is not undone by what was made from the one before."""
    place = BucketName("b"), "s.tar"

    def members() -> Iterator[NewMember]:
        (tmp_path / "b" / "s.tar").write_bytes(b"meanwhile")
        yield NewMember("x", 1, 0, [b"x"])

    there = folder.present(*place)
    with pytest.raises(ChangedRefusal, match="changed meanwhile"):
        write_archive(folder, Archives(), place, ".tar", members(), append_to=there)
    with pytest.raises(ChangedRefusal):
        write_archive(folder, Archives(), place, ".tar", [], append_to=there)
    assert (tmp_path / "b" / "s.tar").read_bytes() == b"meanwhile"
