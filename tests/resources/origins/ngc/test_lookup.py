"""A file in NVIDIA's registry is found, or the error says what is missing."""

from __future__ import annotations

import json

import pytest

from aisio.errors import (
    ConflictError,
    NotFoundError,
    StorageError,
)
from tests.resources.ngc_origin import TARGET, assert_refused, origin, read
from tests.resources.ngc_server import Fault, NgcServer

DATA = b"data"


def test_ngc_27_a_file_that_is_not_there(registry: NgcServer) -> None:
    """Names that are near are named."""
    registry.add(TARGET, {"sub/a.bin.gz": b"", "b.txt": b""})
    assert_refused(registry, NotFoundError, "2.0 has no file 'a.bin'", "did you mean sub/a.bin.gz?")
    registry.add(TARGET, {f"{number}.txt": b"" for number in range(9)})
    assert_refused(registry, NotFoundError, "it has 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 4 more")


def test_ngc_27_a_version_that_is_not_there(registry: NgcServer) -> None:
    """The latest one is named."""
    registry.add("nvidia/clara/esm:1.0", {"a.bin": b""})
    assert_refused(registry, NotFoundError, "there is no version 2.0; the latest is 1.0")


def test_ngc_27_a_model_that_is_not_there(registry: NgcServer) -> None:
    """With and without a version it is the model that is missing, not the version."""
    for target in (TARGET, "nvidia/clara/esm"):
        assert_refused(registry, NotFoundError, "404 no model esm; there is none", target=target)


def test_ngc_27_a_model_without_a_version(registry: NgcServer) -> None:
    """There is nothing to read yet."""
    registry.add(TARGET, {}).versions.clear()
    assert_refused(registry, NotFoundError, "it has no version yet", target="nvidia/clara/esm")


@pytest.mark.parametrize("status", ["UPLOAD_PENDING", "CREATED"])
def test_ngc_27_a_version_that_is_not_complete(registry: NgcServer, status: str) -> None:
    """Its status is named."""
    registry.add(TARGET, {"a.bin": b""}).versions["2.0"].status = status
    assert_refused(registry, ConflictError, f"version 2.0 is not complete, its status is {status}")


@pytest.mark.parametrize(
    ("page", "files", "what"),
    [
        (1, ["b"], "counts other pages"),
        (2, [], "is empty"),
        (2, ["a"], "'a' comes twice"),
        (-1, ["b"], "there are -1 pages"),
        (10**6, ["b"], "there are 1000000 pages"),
    ],
)
def test_ngc_27_pages_that_do_not_fit_together(
    registry: NgcServer, page: int, files: list[str], what: str
) -> None:
    """The list changed while it was read, or it is none."""
    registry.files_a_page = 1
    registry.add(TARGET, {"a": b"", "b": b""})
    listed = [{"path": path, "sizeInBytes": 0} for path in files]
    body = json.dumps({"modelFiles": listed, "paginationInfo": {"totalPages": page}}).encode()
    registry.faults = [Fault("page-number=1" if page > 0 else "/files", status=200, body=body)]
    assert_refused(registry, StorageError, "its list of files cannot be right", what)


@pytest.mark.parametrize(
    "answer",
    [
        {"urls": ["https://localhost/b"], "filepath": ["b.bin"]},
        {"urls": [], "filepath": []},
        {"urls": [], "filepath": ["a.bin"]},
        {"urls": ["http://localhost/a?secret"], "filepath": ["a.bin"]},
        {"filepath": ["a.bin"]},
    ],
)
def test_ngc_27_an_address_of_something_else(registry: NgcServer, answer: object) -> None:
    """It is not followed, nor shown."""
    registry.add(TARGET, {"a.bin": b""})
    registry.faults = [Fault("?path", status=200, body=json.dumps(answer).encode())]
    with pytest.raises(StorageError) as caught:
        origin().open()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("filename", ["a.bin", "sub/a.bin"])
def test_ngc_25_the_latest_version_and_a_nested_file_are_found(
    registry: NgcServer, filename: str
) -> None:
    """Without a version the latest is read; a name is enough where one file has it."""
    registry.add("nvidia/clara/esm:1.0", {"deep/sub/a.bin": b"old"})
    registry.add(TARGET, {"deep/sub/a.bin": DATA, "a.bin.md5": b""})
    assert read(origin(filename, "nvidia/clara/esm")) == DATA


def test_ngc_25_a_file_of_that_very_path_comes_before_a_nested_one(registry: NgcServer) -> None:
    """Also where it stands on a later page."""
    registry.files_a_page = 1
    registry.add(TARGET, {"x/a.bin": b"nested", "y/a.bin": b"nested", "a.bin": DATA, "z": b""})
    assert read(origin()) == DATA
    pages = [name for name in registry.asked() if "page-number" in name]
    assert [name[-1] for name in pages] == ["1", "2"]


def test_ngc_25_several_files_of_that_name_are_named(registry: NgcServer) -> None:
    """None of them is guessed to be the one."""
    registry.add(TARGET, {"x/a.bin": b"1", "y/a.bin": b"2"})
    with pytest.raises(ConflictError, match=r"2 files 'a\.bin': .*: x/a\.bin, y/a\.bin$"):
        origin().open()


@pytest.mark.parametrize("name", ["a b%20[1]*.bin", "a+b=c&d?e#f", "\N{GREEK SMALL LETTER PI}"])
def test_odd_names_are_taken_as_they_are(registry: NgcServer, name: str) -> None:
    """No part of them is a pattern, a quote or a query."""
    registry.add("nvidia/a b%20c:v 1", {name: DATA, "a b%20[1]x.bin": b""})
    assert read(origin(name, "nvidia/a b%20c:v 1")) == DATA


@pytest.mark.parametrize("digest", ["", "no base64", "c2hvcnQ=", "\u00e4"])
def test_what_is_no_digest_counts_as_none(
    registry: NgcServer, monkeypatch: pytest.MonkeyPatch, digest: str
) -> None:
    """Of an algorithm that we do not know, say."""
    monkeypatch.setattr("tests.resources.ngc_answers._digest", lambda data: digest)
    registry.add(TARGET, {"a.bin": DATA})
    reply = origin().open()
    assert reply.sha256 is None
    reply.close()
