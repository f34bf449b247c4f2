"""Compressed files are read to their end, up to a limit, and never past damage."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from aisio.errors import ArchiveError
from aisio.resources.unpack.compressed import (
    ForwardReader,
    Limits,
    compare_decompressed,
    decompress_file,
)
from aisio.resources.unpack.unpack import (
    unpack,
)
from tests.tars import pack

DATA = bytes(range(256)) * 5000


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("harm", ["cut", "flip", "behind", "empty", "plain", "other"])
def test_a_damaged_compressed_file_is_an_error(tmp_path, kind, harm):
    """Cut, changed, followed by other data, or of another kind: there is no result."""
    data = COMPRESS[kind](os.urandom(50_000))
    other = COMPRESS["gzip" if kind != "gzip" else "xz"](DATA)
    path = tmp_path / "x"
    path.write_bytes(
        {
            "cut": data[:-9],
            "flip": data[:20_000] + bytes([data[20_000] ^ 1]) + data[20_001:],
            "behind": data + b"something else",
            "empty": b"",
            "plain": DATA,
            "other": other,
        }[harm]
    )
    with pytest.raises(ArchiveError, match=str(path)):
        unpack(path, kind)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_bomb_is_stopped(tmp_path, kind):
    """What unpacks to more than the limit is an error before it is on the disk."""
    path = tmp_path / "x"
    path.write_bytes(COMPRESS[kind](bytes(20_000_000)))
    with pytest.raises(ArchiveError, match="more than 5,000,000 bytes"):
        unpack(path, kind, limits=Limits(max_ratio=1, min_bytes=5_000_000))
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_member_is_not_read_into_memory(tmp_path):
    """Pieces of 1 MiB pass from the archive to the file."""
    data = io.BytesIO(os.urandom(1024) * 20_000)
    path = tmp_path / "x.tar.xz"
    info = tarfile.TarInfo("large")
    info.size = len(data.getvalue())
    with tarfile.open(path, "w:xz", preset=0) as archive:
        archive.addfile(info, data)
    assert (unpack(path, "tar") / "large").read_bytes() == data.getvalue()


def test_a_tar_is_read_by_what_it_is(tmp_path):
    """A .tar that is compressed, and a .tar.gz that is not, unpack as with pooch."""
    path = tmp_path / "x.tar"
    path.write_bytes(gzip.compress(pack(("1", b"one"))))
    assert (unpack(path, "tar") / "1").read_bytes() == b"one"
    path = tmp_path / "y.tar.gz"
    path.write_bytes(pack(("1", b"one")))
    assert (unpack(path, "tar") / "1").read_bytes() == b"one"


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_file_is_compared_with_what_it_decompresses_to(tmp_path, kind):
    """Byte for byte, to the end of both; a link is not compared."""
    path, target = tmp_path / "x", tmp_path / "y"
    path.write_bytes(COMPRESS[kind](DATA))
    assert not compare_decompressed(path, kind, target, Limits())
    decompress_file(path, kind, target, Limits())
    assert target.read_bytes() == DATA
    assert compare_decompressed(path, kind, target, Limits())
    for wrong in (DATA[:-1], DATA + b"x", b"x" + DATA[1:]):
        target.write_bytes(wrong)
        assert not compare_decompressed(path, kind, target, Limits())
    target.unlink()
    (tmp_path / "z").write_bytes(DATA)
    target.symlink_to(tmp_path / "z")
    assert not compare_decompressed(path, kind, target, Limits())


@pytest.mark.parametrize(
    ("size_bytes", "members", "allowed_bytes"),
    [(0, 10, 1000), (100, 25, 2000), (10_000, 30, 200_000)],
)
def test_limits_grow_with_the_archive(tmp_path, size_bytes, members, allowed_bytes):
    """Within what is always allowed and what is never allowed."""
    path = tmp_path / "x"
    path.write_bytes(bytes(size_bytes))
    limits = Limits(
        max_members=30, min_bytes_per_member=4, min_members=10, max_ratio=20, min_bytes=1000
    )
    assert limits.max_members_of(path) == members
    assert limits.max_bytes_of(path) == allowed_bytes


class TestForwardReader:
    """The file object that tarfile gets."""

    def reader(self, data: bytes, max_bytes: int = 1000, skip: bool = False) -> ForwardReader:
        """Return a reader of some bytes."""
        stream = io.BytesIO(data)
        return ForwardReader(
            stream,
            Path("x.tar"),
            max_bytes=max_bytes,
            skip=(lambda count: stream.seek(count, os.SEEK_CUR)) if skip else None,
        )

    @pytest.mark.parametrize("skip", [False, True])
    def test_it_moves_forwards(self, skip):
        """By reading, or by skipping where the stream can."""
        reader = self.reader(bytes(range(100)), skip=skip)
        assert reader.read(2) == b"\0\1"
        assert reader.seek(50) == reader.tell() == 50
        assert reader.read(2) == bytes([50, 51])
        assert reader.last == bytes([50, 51])

    def test_it_goes_back_by_the_last_byte_only(self):
        """Tarfile looks whether the last byte of a member exists."""
        reader = self.reader(b"0123456789")
        reader.read(5)
        assert reader.seek(4) == 4
        assert reader.read(3) == b"456"
        with pytest.raises(ArchiveError, match="before its header"):
            reader.seek(2)

    def test_it_stops_at_the_limit(self):
        """Also where bytes would be skipped."""
        assert self.reader(bytes(10), max_bytes=10).read(10) == bytes(10)
        for go in (lambda reader: reader.read(11), lambda reader: reader.seek(11)):
            with pytest.raises(ArchiveError, match="more than 10 bytes"):
                go(self.reader(bytes(11), max_bytes=10))

    def test_a_member_that_ends_early_is_an_error(self):
        """With the byte that it was cut at."""
        reader = self.reader(b"01234")
        with pytest.raises(ArchiveError, match="cut at byte 5: 3 bytes of a member are missing"):
            list(reader.pieces(8))

    def test_a_header_of_more_than_a_mebibyte_is_not_read(self):
        """It would fill the memory."""
        with pytest.raises(ArchiveError, match="a header of 1048577 bytes"):
            self.reader(b"").read(1024 * 1024 + 1)
