"""ShardFile: what a store reads while a shard is being made."""

from __future__ import annotations

import io
import os
import tarfile

import pytest
import xxhash

from aisio.errors import StorageError
from aisio.shards.index import ShardIndex
from aisio.shards.pack_files import FolderFile
from aisio.shards.shard_file import ShardFile
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl
from tests.indexed import index_of

SIZES = {"0.bin": 0, "a/1.bin": 1, "a/511.bin": 511, "a/512.bin": 512, "9.bin": 3_000_000}
SIZE_BYTES = 5 * 512 + 3 * 512 + 3_000_320 + 1024


@pytest.fixture
def shard(tmp_path) -> ShardFile:
    """Return a shard of a few files."""
    (tmp_path / "a").mkdir()
    for name, size in SIZES.items():
        (tmp_path / name).write_bytes(bytes([size % 251]) * size)
    members = [FolderFile(name, size) for name, size in SIZES.items()]
    return ShardFile(tmp_path, members, SIZE_BYTES)


def test_it_reads_as_a_tar_archive(shard):
    """Members in order, with their bytes."""
    data = shard.read()
    assert len(data) == SIZE_BYTES
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == list(SIZES)
        for name, size in SIZES.items():
            member = archive.extractfile(name)
            assert member is not None
            assert member.read() == bytes([size % 251]) * size


@pytest.mark.parametrize("step", [1000, 512, 1 << 20])
def test_how_much_is_read_at_once_makes_no_difference(shard, step):
    """A read is only short at the end."""
    whole = shard.read()
    shard.seek(0)
    parts = list(iter(lambda: shard.read(step), b""))
    assert b"".join(parts) == whole
    assert {len(part) for part in parts[:-1]} <= {step}


def test_its_size_is_known_before_and_it_can_be_read_again(shard):
    """As a store does that has to send it twice."""
    assert shard.seek(0, io.SEEK_END) == SIZE_BYTES
    assert shard.read(1) == b""
    shard.seek(0)
    first = shard.read(700_000)
    assert shard.tell() == 700_000
    shard.seek(0)
    assert shard.read(700_000) == first
    assert shard.seek(0, io.SEEK_CUR) == 700_000
    assert first + shard.read() == bytes(shard.seek(0)) + shard.read()


def test_other_seeks_are_not_supported(shard):
    """There is nothing yet in its middle."""
    with pytest.raises(io.UnsupportedOperation):
        shard.seek(512)


def test_the_checksum_is_of_what_was_read(shard):
    """XXH64 of the whole archive, however often it was begun."""
    shard.read(1000)
    with pytest.raises(ValueError, match="1,000 of"):
        shard.checksum()
    shard.seek(0)
    data = shard.read()
    assert shard.checksum().kind == "xxhash2"
    assert shard.checksum().value == xxhash.xxh64(data, seed=0).hexdigest()


@pytest.mark.parametrize("size", [2_999_999, 3_000_001, 0])
def test_a_file_that_has_another_size_now_is_an_error(shard, tmp_path, size):
    """It names the file and both sizes."""
    (tmp_path / "9.bin").write_bytes(bytes(size))
    with pytest.raises(StorageError, match=rf"9\.bin: .* had 3,000,000 bytes.* {size:,} now"):
        shard.read()


def test_a_file_that_changes_size_while_it_is_read_is_an_error(shard, tmp_path):
    """Grown or cut."""
    for change, size in ((b"x" * 3_000_001, "3,000,001"), (b"x" * 2_000_000, "2,000,000")):
        (tmp_path / "9.bin").write_bytes(bytes(3_000_000))
        shard.seek(0)
        shard.read(1_500_000)
        (tmp_path / "9.bin").write_bytes(change)
        with pytest.raises(StorageError, match=f"has {size} now"):
            shard.read()


def test_a_file_that_is_rewritten_while_it_is_read_is_an_error(shard, tmp_path):
    """In its size too: the shard would have a part of each version."""
    shard.read(1_500_000)
    path = tmp_path / "9.bin"
    status = path.stat()
    path.write_bytes(b"x" * 3_000_000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(StorageError, match="changed meanwhile"):
        shard.read()


def test_a_file_that_is_gone_is_an_error(shard, tmp_path):
    """It names the file."""
    (tmp_path / "a" / "512.bin").unlink()
    with pytest.raises(StorageError, match=r"512\.bin: No such file"):
        shard.read()


def test_what_is_read_again_is_reported_once(tmp_path, shard):
    """A store that sends it twice packs no more; what the callback raises ends the read."""
    seen = []
    members = [FolderFile(name, size) for name, size in SIZES.items()]
    reporting = ShardFile(
        tmp_path, members, SIZE_BYTES, on_packed=lambda size, files: seen.append((size, files))
    )
    reporting.read(2_000_000)
    reporting.seek(0)
    assert reporting.read() == shard.read()
    assert sum(size for size, _ in seen) == sum(SIZES.values())
    assert sum(files for _, files in seen) == len(SIZES)


def test_the_index_is_taken_down(tmp_path, shard):
    """Of all that was read, not before its end."""
    with pytest.raises(ValueError, match="bytes have been read"):
        shard.index("file:///a.tar", "")
    (tmp_path / "a.tar").write_bytes(shard.read())
    store, url = LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/a.tar")
    read = index_of(store, [url])
    written = shard.index(str(url), read.shard(0).pin)
    assert ShardIndex.merge([written]).to_bytes() == read.to_bytes()
    assert list(written.keys()) == ["0", "a/1", "a/511", "a/512", "9"]
