from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from aisio.gateway.archives.content import NewMember
from aisio.gateway.archives.index_cache import IndexCache
from aisio.gateway.archives.writes import APPEND, put_member, write_archive
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.file_refusals import ChangedRefusal
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.uploads import Upload
from tests.gateway.archive_data import MEMBERS, make_archive, make_tar, read_archive
from tests.gateway.conftest import Served


def put_over_http(bucket: Served, name: str, path: str, data: bytes, pine: str = "0") -> int:
    """Put a member into an archive; return the status."""
    url = bucket.url(name, f"?archpath={path}")
    return bucket.http.put(url, data=data, headers={"Ais-Pine": pine}).status_code


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_a_member_is_appended_to_an_archive(bucket: Served, ending: str) -> None:
    """After those that it has."""
    bucket.put(f"s{ending}", make_archive(ending))
    assert put_over_http(bucket, f"s{ending}", "new/x", b"data", "1") == 200
    found = read_archive(bucket.get(f"s{ending}").content)
    assert found == [*MEMBERS.items(), ("new/x", b"data")]
    assert bucket.get(f"s{ending}", "?archpath=new/x").content == b"data"


def test_an_appended_zip_keeps_its_folders_and_times(bucket: Served) -> None:
    """Also a time that is none: month 0."""
    times = {
        "d/": (2001, 2, 3, 4, 5, 6),
        "d/m": (1999, 12, 31, 23, 59, 58),
        "odd": (1980, 0, 0, 0, 0, 0),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, time in times.items():
            info = zipfile.ZipInfo(name)
            info.date_time = time
            archive.writestr(info, b"" if name == "d/" else b"data")
    bucket.put("s.zip", file.getvalue())
    assert put_over_http(bucket, "s.zip", "new", b"data", "1") == 200
    with zipfile.ZipFile(io.BytesIO(bucket.get("s.zip").content)) as archive:
        assert archive.testzip() is None
        found = {info.filename: info.date_time for info in archive.infolist()}
    assert list(found) == ["d/", "d/m", "odd", "new"]
    assert (found["d/"], found["d/m"]) == (times["d/"], times["d/m"])


def test_an_appended_tar_keeps_its_bytes(bucket: Served) -> None:
    """The new member replaces only the end of the archive."""
    before = make_tar()
    bucket.put("s.tar", before)
    put_over_http(bucket, "s.tar", "x", b"data", "2")
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
    """0 makes a new one, 1 needs an existing one, 2 does either."""
    if exists:
        bucket.put("s.tar", make_tar())
    assert put_over_http(bucket, "s.tar", "x", b"data", pine) == status
    if names:
        assert [name for name, _ in read_archive(bucket.get("s.tar").content)] == names


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *(("s.rar", "x"), ("bad.tar", "x")),
        *((f"s{end}", path) for end in (".tar", ".zip") for path in ("/", "x/", "x%00y", "..%2Fx")),
        *((f"s{end}", path) for end in (".tar", ".zip") for path in ("a/./b", "~/x")),
    ],
)
def test_a_refused_member_changes_nothing(bucket: Served, name: str, path: str) -> None:
    """An unknown format, a damaged archive, a path that no file can have or that is not read."""
    bucket.put("bad.tar", b"x" * 600)
    assert put_over_http(bucket, name, path, b"data", "2") == 400
    assert bucket.get("bad.tar").content == b"x" * 600
    assert sorted(bucket.names()) == ["bad.tar"]


@pytest.mark.parametrize("pine", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "ending", "mime"),
    [
        *(("s.tar", ".tar", ".zip"), ("s.zip", ".zip", ".tar"), ("s.tgz", ".tgz", ".tar")),
        *(("s", ".tar", ".zip"), ("s", ".tgz", ".zip")),
        *(("s", ".zip", ".tgz"), ("s", ".tgz", ".tar")),
    ],
)
def test_an_archive_keeps_its_members_where_a_client_names_another_format(
    bucket: Served, name: str, ending: str, mime: str, pine: str
) -> None:
    """A member is not appended to it: the archive would have the new member alone."""
    before = make_archive(ending)
    bucket.put(name, before)
    url = bucket.url(name, f"?archpath=new&archmime={mime}")
    response = bucket.http.put(url, data=b"data", headers={"Ais-Pine": pine})
    assert response.status_code == 400, response.text
    assert bucket.get(name).content == before


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_a_member_is_appended_where_the_client_or_the_content_says_the_format(
    bucket: Served, ending: str
) -> None:
    """An archive whose name says nothing."""
    bucket.put("s", make_archive(ending))
    for path, mime in (("1", ending), ("2", "")):
        url = bucket.url("s", f"?archpath={path}&archmime={mime}")
        assert bucket.http.put(url, data=b"data", headers={"Ais-Pine": "1"}).status_code == 200
    found = read_archive(bucket.get("s").content)
    assert found == [*MEMBERS.items(), ("1", b"data"), ("2", b"data")]


@pytest.mark.parametrize("ending", [".tar", ".zip"])
def test_members_put_at_the_same_time_are_all_there(bucket: Served, ending: str) -> None:
    """One request after the other changes the archive."""
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


class UploadWithRival(Upload):
    """An upload; while it is read, another program replaces the archive, some times."""

    def __init__(self, folder: Folder, archive: Path, times: int) -> None:
        super().__init__(folder.private.temporary_fd, folder.private.new_temporary_name(), None)
        self._archive = archive
        self._times = times

    def read(self) -> io.FileIO:
        """Open the upload, after the other program was there."""
        if self._times:
            self._times -= 1
            rival = self._archive.with_name("rival")
            rival.write_bytes(make_tar({f"rival-{self._times}": b""}))
            rival.replace(self._archive)
        return super().read()


def put_beside_rival(folder: Folder, archive: Path, times: int) -> None:
    """Put member "x" into an archive that another program replaces at the same time."""
    upload = UploadWithRival(folder, archive, times)
    upload.write([b"data"])
    upload.finish("ais://b/s.tar")
    target = BucketName("b"), "s.tar"
    try:
        put_member(folder, IndexCache(), target, upload, path="x", mime="", mode=APPEND)
    finally:
        upload.discard()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Return a served folder with a bucket and an archive in it."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "s.tar").write_bytes(make_tar())
    folder = Folder(str(tmp_path))
    folder.open()
    yield folder
    folder.close()


def test_an_archive_that_changes_while_it_is_appended_to_is_not_replaced(
    folder: Folder, tmp_path: Path
) -> None:
    """The change of another program must not be lost."""
    place = BucketName("b"), "s.tar"

    def members() -> Iterator[NewMember]:
        (tmp_path / "b" / "s.tar").write_bytes(b"meanwhile")
        yield NewMember("x", 1, 0, [b"x"])

    there = folder.identity(*place)
    with pytest.raises(ChangedRefusal, match="changed meanwhile"):
        write_archive(folder, IndexCache(), place, ".tar", members(), append_to=there)
    with pytest.raises(ChangedRefusal):
        write_archive(folder, IndexCache(), place, ".tar", [], append_to=there)
    assert (tmp_path / "b" / "s.tar").read_bytes() == b"meanwhile"


def test_a_member_goes_into_the_archive_that_replaced_the_first(
    folder: Folder, tmp_path: Path
) -> None:
    """The archive is read and written again, as often as another program changes it."""
    archive = tmp_path / "b" / "s.tar"
    put_beside_rival(folder, archive, 3)
    assert read_archive(archive.read_bytes()) == [("rival-0", b""), ("x", b"data")]


def test_a_member_is_refused_where_the_archive_changes_all_the_time(
    folder: Folder, tmp_path: Path
) -> None:
    """What the other program wrote stays, and no upload is left behind."""
    archive = tmp_path / "b" / "s.tar"
    with pytest.raises(ChangedRefusal, match="was changed meanwhile"):
        put_beside_rival(folder, archive, 100)
    assert [name for name, _ in read_archive(archive.read_bytes())] == ["rival-90"]
    assert list((tmp_path / ".aisio" / "tmp").iterdir()) == []
