from __future__ import annotations

import contextlib
import os
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.moves import copy_object
from aisio.gateway.storage.records import FileState
from tests.gateway.conftest import Served


def copy(bucket: Served, name: str, target: str) -> requests.Response:
    """Copy an object to "bucket/name"."""
    query = "?object_to=" + quote(f"ais/@#/{target}", safe="")
    return bucket.http.put(bucket.url(name, query))


def rename(bucket: Served, name: str, new_name: str) -> requests.Response:
    """Give an object another name."""
    body = {"action": "rename-obj", "name": new_name, "value": None}
    return bucket.http.post(bucket.url(name), json=body)


def describe(bucket: Served, name: str) -> tuple[bytes, str, str]:
    """Return content, version and custom metadata."""
    reply = bucket.get(name)
    return reply.content, reply.headers["Ais-Version"], reply.headers.get("Ais-Custom-Md", "")


@pytest.fixture
def object_with_custom(bucket: Served) -> Served:
    """Return a bucket with an object in its second version, with custom metadata."""
    bucket.put("d/o", b"first")
    bucket.put("d/o", b"data")
    bucket.http.patch(bucket.url("d/o"), json={"value": {"k": "v"}})
    return bucket


@pytest.mark.parametrize("end", ["", "/"])
def test_a_copy_without_a_name_is_refused(
    object_with_custom: Served, served_folder: Path, end: str
) -> None:
    """As by a cluster, where the name of an object is required."""
    bucket = object_with_custom
    (served_folder / f"{bucket.name}-2").mkdir()
    response = copy(bucket, "d/o", f"{bucket.name}-2{end}")
    assert response.status_code == 400
    assert f"ais://{bucket.name}-2: the name of the copy is missing" in response.json()["message"]
    assert not list((served_folder / f"{bucket.name}-2").iterdir())


def test_a_copy_has_the_bytes_and_custom_metadata(object_with_custom: Served) -> None:
    """It is a new object with its own versions; the source stays."""
    bucket = object_with_custom
    assert copy(bucket, "d/o", f"{bucket.name}/c/o").status_code == 200
    assert describe(bucket, "c/o") == (b"data", "1", "k=v")
    assert describe(bucket, "d/o") == (b"data", "2", "k=v")
    copy(bucket, "d/o", f"{bucket.name}/c/o")
    assert describe(bucket, "c/o") == (b"data", "2", "k=v")


def test_a_copy_can_have_other_custom_metadata(tmp_path: Path) -> None:
    """Given, it replaces that of the source; given as nothing, there is none."""
    (tmp_path / "b").mkdir()
    folder, bucket = Folder(str(tmp_path)), BucketName("b")
    folder.open()
    with contextlib.closing(folder):
        upload = folder.begin_upload(None)
        record, _ = folder.finish_upload(upload, [b"x"], bucket, "o")
        folder.metadata.set_custom(bucket, "o", record, {"k": "v"})
        for custom, expected in ((None, {"k": "v"}), ({"a": "b"}, {"a": "b"}), ({}, {})):
            copy_object(folder, (bucket, "o"), (bucket, "c"), custom=custom)
            opened = folder.open_object(bucket, "c")
            with opened.file:
                found = folder.metadata.get(bucket, "c", FileState.of(opened.status))
            assert found is not None
            assert found.custom == expected


@pytest.mark.parametrize(
    ("name", "target", "status"),
    [
        ("none", "{}/c", 404),
        ("d/o", "missing/c", 404),
        ("d/o", "{}/c/", 400),
        ("d/o", "{}/../c", 400),
        ("d/o", "", 400),
        ("d/o", "{}/d/o", 200),
        ("d/o", "{}/d", 400),
    ],
)
def test_invalid_copies_are_refused(
    object_with_custom: Served, name: str, target: str, status: int
) -> None:
    """A copy onto itself does nothing. The object stays as it was."""
    bucket = object_with_custom
    assert copy(bucket, name, target.format(bucket.name)).status_code == status
    assert bucket.names() == ["d/o"]
    assert describe(bucket, "d/o") == (b"data", "2", "k=v")


def test_a_copy_of_damaged_bytes_is_refused(tmp_path: Path) -> None:
    """What is read is verified against the recorded checksum."""
    name = BucketName("b")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"data")
    folder = Folder(str(tmp_path))
    folder.open()
    with contextlib.closing(folder):
        folder.metadata.record_write(
            name, "o", FileState.of((tmp_path / "b" / "o").stat()), "0" * 16
        )
        with pytest.raises(Refusal, match="BAD DATA CHECKSUM"):
            copy_object(folder, (name, "o"), (name, "c"))
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["o"]


def test_a_link_is_not_moved_to_another_folder(bucket: Served) -> None:
    """A relative link would break there; in its own folder it can be renamed."""
    bucket.put("o", b"data")
    (bucket.folder / "l").symlink_to("o")
    assert rename(bucket, "l", "d/l").status_code == 501
    assert rename(bucket, "l", "m").status_code == 200
    assert bucket.get("m").content == b"data"


def test_a_renamed_object_stays_the_same(object_with_custom: Served) -> None:
    """It keeps bytes, version and metadata; its old folder is removed if empty."""
    bucket = object_with_custom
    assert rename(bucket, "d/o", "e/n").status_code == 200
    assert describe(bucket, "e/n") == (b"data", "2", "k=v")
    assert bucket.names() == ["e/n"]
    assert not (bucket.folder / "d").exists()


def test_a_renamed_object_replaces_another(object_with_custom: Served) -> None:
    """And keeps its own version."""
    bucket = object_with_custom
    bucket.put("n", b"other")
    assert rename(bucket, "d/o", "n").status_code == 200
    assert describe(bucket, "n") == (b"data", "2", "k=v")


@pytest.mark.parametrize(
    ("name", "new_name", "status"),
    [
        ("none", "x", 404),
        ("d/o", "d/o", 400),
        ("d/o", "", 400),
        ("d/o", "../x", 400),
        ("d/o", "x/", 400),
        ("d/o", "d", 400),
        ("d/o", "d/o/x", 400),
    ],
)
def test_invalid_renames_are_refused(
    object_with_custom: Served, name: str, new_name: str, status: int
) -> None:
    """The object stays as it was."""
    bucket = object_with_custom
    assert rename(bucket, name, new_name).status_code == status
    assert describe(bucket, "d/o") == (b"data", "2", "k=v")


@pytest.mark.parametrize("change", [b"longer", b"s", b"xx"])
def test_a_file_that_changes_is_not_copied(tmp_path: Path, change: bytes) -> None:
    """Its copy would be of two versions."""
    (tmp_path / "b").mkdir()
    file = tmp_path / "b" / "o"
    file.write_bytes(b"oo")
    os.utime(file, (1, 1))
    folder, bucket = Folder(str(tmp_path)), BucketName("b")
    folder.open()
    with contextlib.closing(folder):
        opened = folder.open_object(bucket, "o")
        file.write_bytes(change)
        with pytest.raises(Refusal, match="ais://b/o is being written by another program"):
            copy_object(folder, (bucket, "o"), (bucket, "c"), opened=opened)
    assert not (tmp_path / "b" / "c").exists()
