"""Promote: files below one folder of the gateway's machine become objects, and no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from aistore.sdk import Client

from aisio.gateway import Gateway
from tests.gateway.conftest import Served

_numbers = count()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder below which files can be promoted."""
    return tmp_path_factory.mktemp("promote")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Gateway]:
    """Run a gateway that promotes from there."""
    with Gateway(tmp_path_factory.mktemp("served"), promote_root=root) as gateway:
        yield gateway
        assert "Traceback" not in gateway.read_log()


@pytest.fixture
def target(serving: Gateway, http: requests.Session) -> Served:
    """Return a new, empty bucket of it."""
    folder = serving.folder / f"bucket-{next(_numbers)}"
    folder.mkdir()
    return Served(serving.endpoint, folder.name, folder, http)


@pytest.fixture
def source(root: Path) -> Path:
    """Return a folder with a file, a folder with another one, and a link."""
    folder = root / str(next(_numbers))
    (folder / "sub").mkdir(parents=True)
    (folder / "top").write_bytes(b"top")
    (folder / "sub" / "inner").write_bytes(b"inner")
    (folder / "link").symlink_to(folder / "top")
    return folder


def promote(bucket: Served, path: Path | str, **value: Any) -> requests.Response:
    """Promote."""
    body = {"action": "promote", "name": str(path), "value": value}
    return bucket.http.post(f"{bucket.endpoint}/v1/objects/{bucket.name}", json=body)


def test_a_file_is_promoted(target: Served, source: Path) -> None:
    """Under the requested name, or its own after a prefix."""
    for name in ("a/b", "c/", ""):
        response = promote(target, source / "top", obj=name)
        assert (response.status_code, response.content) == (200, b"")
    assert target.names() == ["a/b", "c/top", "top"]
    got = target.get("a/b")
    assert (got.content, got.headers["Ais-Version"]) == (b"top", "1")
    assert (source / "top").exists()


def test_a_folder_is_promoted_by_the_official_client(
    serving: Gateway, target: Served, source: Path
) -> None:
    """One level or all; links are skipped; existing objects stay unless the client overwrites."""
    item = Client(serving.endpoint).bucket(target.name).object("p/")
    assert item.promote(str(source)) == ""
    assert target.names() == ["p/top"]
    (source / "top").write_bytes(b"new")
    item.promote(str(source), recursive=True)
    assert (target.names(), target.get("p/top").content) == (["p/sub/inner", "p/top"], b"top")
    item.promote(str(source), recursive=True, overwrite_dest=True, delete_source=True)
    assert target.get("p/top").content == b"new"
    assert [path.name for path in sorted(source.rglob("*"))] == ["link", "sub"]


def test_many_files_are_a_job(target: Served, source: Path) -> None:
    """Its id is the response, and its snapshot says how many files there were."""
    for number in range(20):
        (source / f"{number:02d}").write_bytes(b"x")
    response = promote(target, source)
    assert response.status_code == 200
    snap = target.wait(response.text)
    assert (snap["kind"], snap["stats"]["loc-objs"], snap["err"]) == ("promote", "21", "")
    assert len(target.names()) == 21


def test_a_link_that_stays_inside_may_be_promoted_itself(target: Served, source: Path) -> None:
    """Under its own name, with the bytes of its target; only the link is deleted."""
    assert promote(target, source / "link", dls=True).status_code == 200
    assert (target.names(), target.get("link").content) == (["link"], b"top")
    assert (source / "top").exists()
    assert not (source / "link").is_symlink()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("", {}, "invalid promote source: pathname is empty"),
        ("etc", {}, 'invalid promote source "etc": must be an absolute path'),
        ("/etc/passwd", {}, 'invalid promote source "/etc/passwd": must be under'),
        ("{root}/../x", {}, "must not contain '.' or '..' path elements"),
        ("{root}-more/x", {}, "must be under"),
        ("{source}/top", {"src": "{source}"}, "conflicting promote source"),
        ("{source}/top", {"obj": "../x"}, "invalid prefix"),
        ("{source}/top", {"tid": "nope"}, "node nope not present in Smap"),
        ("{source}/empty", {}, "is empty"),
        ("{source}/out", {}, "is a link that leads out of"),
        ("{source}/out/hostname", {}, "is a link that leads out of"),
    ],
)
def test_what_may_not_be_promoted_is_refused(
    target: Served, root: Path, source: Path, name: str, value: dict[str, Any], message: str
) -> None:
    """In AIStore's words; nothing outside the folder is ever read."""
    (source / "empty").mkdir()
    (source / "out").symlink_to("/etc")
    path = name.format(root=root, source=source)
    value = {key: text.format(source=source) for key, text in value.items()}
    response = promote(target, path, **value)
    assert (response.status_code, message in response.json()["message"]) == (400, True), (
        response.text
    )
    assert target.names() == []


def test_what_is_not_there_is_not_found(target: Served, source: Path) -> None:
    """Neither the file nor the bucket."""
    response = promote(target, source / "nope")
    assert (response.status_code, response.json()["tcode"]) == (404, "PathError")
    absent = Served(target.endpoint, "absent", target.folder, target.http)
    response = promote(absent, source / "top")
    assert (response.status_code, response.json()["tcode"]) == (404, "ErrBckNotFound")


def test_without_the_folder_nothing_is_promoted(tmp_path: Path) -> None:
    """The error says which folder is missing."""
    (tmp_path / "served" / "b").mkdir(parents=True)
    root = tmp_path / "absent"
    with Gateway(tmp_path / "served", promote_root=root) as gateway, requests.Session() as http:
        served = Served(gateway.endpoint, "b", tmp_path / "served" / "b", http)
        response = promote(served, root / "x")
    assert response.json()["message"] == f'promote root "{os.fspath(root)}" does not exist'
