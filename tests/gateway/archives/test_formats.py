"""Archive formats: by name, as the client says, and by the first bytes."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from aisio.gateway.archives.formats import format_of_file, format_of_mime, format_of_name, open_zip
from aisio.gateway.protocol.refusals import Refusal
from tests.gateway.archive_data import make_archive


@pytest.mark.parametrize(
    ("name", "expected"),
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
def test_a_name_says_its_format(name: str, expected: str) -> None:
    """By its ending alone."""
    assert format_of_name(name) == expected


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".zip"])
def test_the_first_bytes_say_the_format_where_the_name_does_not(
    tmp_path: Path, ending: str
) -> None:
    """As in AIStore; what the client says comes first."""
    (tmp_path / "a").write_bytes(make_archive(ending))
    with io.FileIO(str(tmp_path / "a")) as file:
        assert format_of_file(file, "name") == ending
        assert format_of_file(file, "name.zip", "application/x-tar") == ".tar"
    (tmp_path / "b").write_bytes(b"text")
    with io.FileIO(str(tmp_path / "b")) as file, pytest.raises(Refusal) as caught:
        format_of_file(file, "b")
    assert caught.value.status == 400


def test_an_unknown_format_is_refused() -> None:
    """With AIStore's error code."""
    assert format_of_mime("") == ""
    with pytest.raises(Refusal) as caught:
        format_of_mime(".rar")
    assert (caught.value.status, caught.value.tcode) == (400, "errUnknownMime")


@pytest.mark.parametrize(
    ("mime", "expected"),
    [(".tgz", ".tgz"), ("tar.gz", ".tgz"), ("application/zip", ".zip"), (".tar.lz4", ".tar.lz4")],
)
def test_a_client_may_name_an_ending_or_a_mime_type(mime: str, expected: str) -> None:
    """With or without the dot."""
    assert format_of_mime(mime) == expected


def test_a_zip_with_a_huge_directory_is_not_read(tmp_path: Path) -> None:
    """Python's zipfile would read all of it into memory at once."""
    directory_bytes = 300 << 20
    # The end of central directory record: PKWARE's APPNOTE, 4.3.16.
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, directory_bytes, 0, 0)
    with (tmp_path / "a").open("wb") as file:
        file.truncate(directory_bytes)  # a sparse file
        file.seek(directory_bytes)
        file.write(end)
    with (
        io.FileIO(str(tmp_path / "a")) as opened,
        pytest.raises(zipfile.BadZipFile, match="directory of 314,572,800 bytes is too large"),
    ):
        open_zip(opened)
