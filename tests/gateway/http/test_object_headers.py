from __future__ import annotations

import os
from pathlib import Path

import pytest

from aisio.gateway.http.object_headers import (
    etag,
    head_props_headers,
    object_headers,
    one_line,
)
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.storage.records import FileState, MultipartInfo, Record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of four bytes."""
    (tmp_path / "o").write_bytes(b"data")
    return tmp_path / "o"


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\r\nb", "a  b"), ("ü", "ü"), ("\x00\x01\x1b\x7f", "    "), ("\t\udcff", "\t?")],
)
def test_headers_have_no_control_characters(text: str, line: str) -> None:
    """A name with a line break must not end the header, and HTTP allows but a tab."""
    assert one_line(text) == line


def test_an_object_without_version_and_metadata_has_no_headers_of_them(file: Path) -> None:
    """Checksum and access time are always there; custom metadata is one header for each item."""
    status = file.stat()
    state = FileState.of(status)
    names = [name for name, _ in object_headers(Record(state, "ff", 0), status)]
    assert names == ["Ais-Checksum-Type", "Ais-Checksum-Value", "Ais-Atime"]
    record = Record(state, "ff", 2, custom={"b": "2", "a": "1"})
    assert object_headers(record, status)[3:] == [
        ("Ais-Version", "2"),
        ("Ais-Custom-Md", "a=1"),
        ("Ais-Custom-Md", "b=2"),
    ]


def test_requested_properties_come_in_a_fixed_order(file: Path) -> None:
    """After presence and length; those that an object does not have are left out."""
    status = file.stat()
    record = Record(FileState.of(status), "ff", 2, multipart=MultipartInfo(3, 100))
    headers = head_props_headers(" version, chunked,ec ", "t[t1]:mp[/data]", record, status)
    assert headers == [
        ("Ais-Present", "true"),
        ("Content-Length", "4"),
        ("Ais-Chunks-Count", "3"),
        ("Ais-Chunks-Max-Chunk-Size", "100"),
        ("Ais-Version", "2"),
    ]


def test_an_unknown_property_is_refused(file: Path) -> None:
    """The error still says that the object exists."""
    status = file.stat()
    with pytest.raises(Refusal, match='invalid property "nope"') as caught:
        head_props_headers("nope", "", Record(FileState.of(status), "ff", 1), status)
    assert caught.value.headers == {"Ais-Present": "true"}


def test_etags_are_those_of_aistore(tmp_path: Path) -> None:
    """Checksum and time in base 36; or what an upload in parts over S3 has."""
    path = tmp_path / "f"
    path.write_bytes(b"hello")
    os.utime(path, ns=(0, 36**3 + 35))
    status = path.stat()
    record = Record(FileState.of(status), "26c7827d889f6da3", 7)
    assert etag(record, status) == "v1-26c7827d889f6da3-100z"
    assert etag(Record(record.state, "c", 1, {"ETag": "md5-2"}), status) == "md5-2"
    assert ("ETag", '"v1-26c7827d889f6da3-100z"') in head_props_headers("etag", "", record, status)
