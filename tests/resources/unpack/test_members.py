"""The members of an archive: whole, counted, and bounded."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from aisio.errors import ArchiveError
from aisio.formats.tar_write import END_OF_ARCHIVE
from aisio.resources.unpack.compressed import Limits
from aisio.resources.unpack.members import Allowance, read_members, unsafe_member
from aisio.resources.unpack.unpack import (
    unpack,
)
from tests.tars import pack


def test_a_tar_cut_anywhere_is_an_error(tmp_path):
    """Also at a header or before its end-of-archive block, which tarfile takes for an end."""
    whole = pack(("1", b"one"), ("d/2", bytes(600)), ("3", b""))
    path = tmp_path / "x.tar"
    for stop in range(0, len(whole) - 1023, 64):
        path.write_bytes(whole[:stop])
        with pytest.raises(ArchiveError):
            unpack(path, "tar")
        assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(whole[: len(whole) - 512])
    assert unpack(path, "tar").is_dir()


def test_a_tar_whose_headers_were_changed_is_an_error(tmp_path):
    """Any byte of a compressed tar, by gzip; in a plain one, the headers have checksums."""
    plain = pack(("1", b"one"), ("d/2", b"two"))
    packed = gzip.compress(plain, mtime=0)
    path = tmp_path / "x.tar"
    for at in range(10, len(packed)):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :])
        with pytest.raises(ArchiveError):
            unpack(path, "tar")
    ends_of_sums = {154, 155, 1024 + 154, 1024 + 155}
    for at in {*range(512), *range(1024, 1536)} - ends_of_sums:
        path.write_bytes(plain[:at] + bytes([plain[at] ^ 0x55]) + plain[at + 1 :])
        with pytest.raises(ArchiveError):
            unpack(path, "tar")
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_of_nothing_is_an_empty_folder(tmp_path):
    """Two zero blocks, or a zip's empty directory."""
    tar, packed = tmp_path / "x.tar", tmp_path / "x.zip"
    tar.write_bytes(pack())
    zipfile.ZipFile(packed, "w").close()
    assert list(unpack(tar, "tar").iterdir()) == []
    assert list(unpack(packed, "zip").iterdir()) == []


@pytest.mark.parametrize("at", [0, 40, -69, -22, -10])
def test_a_damaged_zip_is_an_error(tmp_path, at):
    """In its headers, its directory, or its data, which have a checksum."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1", b"one" * 20)
    data = bytearray(file.getvalue())
    data[at] ^= 0x55
    path = Path(tmp_path / "x.zip")
    path.write_bytes(data)
    with pytest.raises(ArchiveError):
        unpack(path, "zip")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_the_error_names_the_damaged_member_of_a_zip(tmp_path, method):
    """Others of the archive may be whole."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("1", b"one" * 20)
        archive.writestr("2", bytes(range(256)))
    data = bytearray(file.getvalue())
    data[archive.infolist()[1].header_offset + 60] ^= 0x55
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"x\.zip.*member '2'.*load it again"):
        unpack(path, "zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ngc_22_a_zip_that_unpacks_to_much_takes_little_memory(tmp_path, method):
    """NGC-22: zipfile makes all of the content at once that it finds in what it has read."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("zeros", bytes(64 << 20))
    tracemalloc.start()
    try:
        members = read_members("zip", Allowance(path, Limits()))
        assert [sum(map(len, member.pieces())) for member in members] == [64 << 20]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_ngc_22_a_small_archive_of_very_many_members_is_refused(tmp_path):
    """NGC-22: each takes some memory, and an inode of the disk."""
    path = tmp_path / "x.tgz"
    path.write_bytes(gzip.compress(pack(*[(f"{number % 10}", b"") for number in range(2000)])))
    size_bytes = path.stat().st_size
    with pytest.raises(ArchiveError, match="limit for an archive of its size: 1,000 members"):
        unpack(path, "tar", limits=Limits(min_bytes_per_member=size_bytes, min_members=1000))
    unpack(path, "tar", limits=Limits(min_bytes_per_member=size_bytes // 2000, min_members=1000))


def global_records(count, value):
    """Write a tar of so many empty files, each behind a global record of its own."""
    parts = []
    for number in range(count):
        record = {f"comment.{number}": value}
        parts.append(tarfile.TarInfo.create_pax_global_header(record))
        parts.append(tarfile.TarInfo(str(number)).tobuf(tarfile.USTAR_FORMAT))
    return b"".join(parts) + END_OF_ARCHIVE


def test_ngc_22_records_for_all_members_are_bounded(tmp_path):
    """NGC-22: tarfile keeps them to the end; those that git and others write fit."""
    path = tmp_path / "x.tar"
    path.write_bytes(global_records(100, "x" * 100))
    assert len(list(unpack(path, "tar").iterdir())) == 100
    path.write_bytes(gzip.compress(global_records(1000, "x" * 100)))
    with pytest.raises(ArchiveError, match="65,536 bytes of global pax records"):
        unpack(path, "tar")


def test_members_come_with_kind_path_and_bytes(tmp_path):
    """In the order of the archive."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, target in [
            ("./d/", tarfile.DIRTYPE, ""),
            ("d/1", tarfile.REGTYPE, ""),
            ("s", tarfile.SYMTYPE, "d/../d/1"),
            ("h", tarfile.LNKTYPE, "./d/1"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"one"))
    members = [
        (member.parts, member.kind, member.target, b"".join(member.pieces()))
        for member in read_members("tar", Allowance(path, Limits()))
    ]
    assert members == [
        (("d",), "folder", "", b""),
        (("d", "1"), "file", "", b"one"),
        (("s",), "symlink", "d/../d/1", b""),
        (("h",), "hardlink", "d/1", b""),
    ]


def test_an_allowance_ends(tmp_path):
    """With the member that is one too many."""
    path = tmp_path / "x"
    path.write_bytes(b"")
    allowance = Allowance(path, Limits(max_members=2, min_bytes=10))
    allowance.spend("a", members=1, size_bytes=10)
    allowance.spend("b", members=1)
    with pytest.raises(ArchiveError, match="member 'c' is over the limit"):
        allowance.spend("c", members=1)
    with pytest.raises(ArchiveError, match="member 'd' is over the limit"):
        Allowance(path, Limits(min_bytes=10)).spend("d", size_bytes=11)


def test_a_long_name_is_cut_in_errors():
    """It may have a million characters."""
    text = str(unsafe_member(Path("x.tar"), "n" * 1000, "is encrypted"))
    assert f"member '{'n' * 200}...' is encrypted" in text
