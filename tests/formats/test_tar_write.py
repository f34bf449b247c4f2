"""Archives that aisio writes are read by tarfile, by GNU tar and by its own parser."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import ConfigError
from aisio.formats.tar import BLOCK_BYTES
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from tests.tars import LONG_NAME, pack, read_all

NAMES = [
    "1.jpg",
    "d" * 99 + "/" + "n" * 100,
    "d" * 155 + "/" + "n" * 100,
    "d" * 156 + "/" + "n" * 100,
    "n" * 101,
    "n" * 300,
    "größe/日本.txt",
    "日" * 120,
    LONG_NAME,
]


@pytest.mark.parametrize("name", NAMES)
def test_tarfile_reads_what_is_written(name: str):
    """Name, size, mode, time and payload come back, and there is no owner."""
    data = header(name, 5, mode=0o600, mtime_s=1_700_000_000) + b"hello" + padding(5)
    with tarfile.open(fileobj=io.BytesIO(data + END_OF_ARCHIVE), mode="r:") as archive:
        [info] = archive.getmembers()
        file = archive.extractfile(info)
        assert file is not None
        assert file.read() == b"hello"
    assert (info.name, info.mode, info.mtime) == (name, 0o600, 1_700_000_000)
    assert (info.uid, info.gid, info.uname, info.gname) == (0, 0, "", "")


def test_gnu_tar_reads_what_is_written(tmp_path: Path):
    """GNU tar unpacks every name without a warning."""
    names = [name for name in NAMES if max(map(len, name.encode().split(b"/"))) <= 255]
    data = pack(*((name, name.encode()) for name in names))
    done = subprocess.run(
        ["tar", "--extract", "--file=-"], input=data, cwd=tmp_path, check=True, capture_output=True
    )
    assert done.stderr == b""
    assert [(tmp_path / name).read_bytes().decode() for name in names] == names


def test_sizes_over_8_gib_are_written(tmp_path: Path):
    """A member of 10 GiB, in a file with a hole, is listed by GNU tar and by tarfile."""
    size_bytes = 10 * 2**30
    archive = tmp_path / "big.tar"
    with archive.open("wb") as file:
        file.write(header("big.bin", size_bytes))
        file.seek(size_bytes, io.SEEK_CUR)
        file.write(header("after.txt", 0) + END_OF_ARCHIVE)
    command = ["tar", "--list", "--verbose", "--seek", f"--file={archive}"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    assert f" {size_bytes} " in listed[0]
    assert listed[1].endswith(" after.txt")
    with tarfile.open(archive, mode="r:") as opened:
        assert [info.size for info in opened] == [size_bytes, 0]


@given(
    name=st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=400).filter(
        lambda name: (
            not name.endswith("/") and not any("\ud800" <= char <= "\udfff" for char in name)
        )
    ),
    size_bytes=st.integers(0, 1000),
)
def test_any_name_is_read_back(name: str, size_bytes: int):
    """Writer and parser agree on every name, and on blocks."""
    [(member, payload)] = read_all(pack((name, bytes(size_bytes))))
    assert (member.name, payload) == (name, bytes(size_bytes))
    assert len(header(name, size_bytes)) % BLOCK_BYTES == 0


def test_records_of_any_length_are_read_back():
    """A PAX record counts the digits of its own length, which may make it longer by one."""
    for length in range(80, 1100):
        name = "n" * length
        assert read_all(pack((name, b"")))[0][0].name == name


def test_bytes_that_are_not_utf8_survive():
    """A local file's name comes back byte for byte, as the surrogates that stand for it."""
    for name in (b"\xff\xfe.jpg".decode("utf-8", "surrogateescape"), "\udcff" * 200):
        assert read_all(pack((name, b"")))[0][0].name == name


def test_short_names_take_one_block_and_the_same_bytes():
    """A header that fits is plain ustar, and depends on the arguments only."""
    assert len(header("d" * 155 + "/" + "n" * 100, 8**11 - 1)) == BLOCK_BYTES
    assert len(header("n" * 101, 1)) == 3 * BLOCK_BYTES
    assert header("1.jpg", 8**11) == header("1.jpg", 8**11)
    assert b"size=8589934592\n" in header("1.jpg", 8**11)


@pytest.mark.parametrize("size_bytes", [0, 1, 511, 512, 513])
def test_padding_fills_whole_blocks(size_bytes: int):
    """A payload and its padding are whole blocks, and less than one block is added."""
    zeros = padding(size_bytes)
    assert not any(zeros)
    assert (size_bytes + len(zeros)) % BLOCK_BYTES == 0
    assert len(zeros) < BLOCK_BYTES


@pytest.mark.parametrize("name", ["", "a\0b", "folder/", "n" * 100_000])
def test_names_that_no_archive_holds_are_refused(name: str):
    """A name that could not be read back as a file is refused before anything is written."""
    with pytest.raises(ConfigError, match="cannot be the name"):
        header(name, 0)


@pytest.mark.parametrize(
    ("size_bytes", "mode", "mtime_s"), [(-1, 0, 0), (2**64, 0, 0), (0, -1, 0), (0, 0, -1)]
)
def test_numbers_that_no_archive_holds_are_refused(size_bytes: int, mode: int, mtime_s: int):
    """A size, mode or time that does not fit is refused, not wrapped."""
    with pytest.raises(ConfigError, match=r"do(es)? not fit a tar archive"):
        header("1.jpg", size_bytes, mode=mode, mtime_s=mtime_s)
