"""Upload: checksums of what was written, a way back to a mark, and no file left behind."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import xxhash

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.storage.uploads import Upload
from aisio.records import Checksum


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor of an empty folder."""
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def md5(data: bytes) -> Checksum:
    """Return the MD5 of some bytes, as a client sends it."""
    return Checksum("md5", hashlib.md5(data).hexdigest())


def test_the_file_has_what_was_written(folder_fd: int, tmp_path: Path) -> None:
    """Also when it is closed in between; the checksum on record is always XXH64."""
    upload = Upload(folder_fd, "1", md5(b"onetwothree"))
    upload.write([b"one", b"", b"two"])
    upload.pause()
    upload.write([b"three"])
    status, checksum = upload.finish("ais://b/o")
    assert (tmp_path / "1").read_bytes() == b"onetwothree"
    assert (status.st_size, upload.size_bytes) == (11, 11)
    assert checksum == xxhash.xxh64_hexdigest(b"onetwothree", 0)
    with upload.read() as file:
        assert file.read(3) == b"one"


@pytest.mark.parametrize("kind", ["md5", "xxhash2"])
def test_another_checksum_than_the_clients_is_refused(folder_fd: int, kind: str) -> None:
    """In AIStore's words, with both checksums and the object."""
    upload = Upload(folder_fd, "1", Checksum(kind, "00"))
    upload.write([b"data"])
    with pytest.raises(
        Refusal, match=rf"BAD DATA CHECKSUM: {kind}\(00 != .*\(context: ais://b/o"
    ) as caught:
        upload.finish("ais://b/o")
    assert (caught.value.status, caught.value.tcode) == (500, "ErrBadCksum")


@pytest.mark.parametrize("expected", [None, md5(b"one three")])
def test_rewinding_to_a_mark_drops_what_came_after(
    folder_fd: int, tmp_path: Path, expected: Checksum | None
) -> None:
    """From the file, the size and both checksums; a mark serves only once."""
    upload = Upload(folder_fd, "1", expected)
    upload.write([b"one "])
    mark = upload.mark()
    upload.write([b"two"])
    upload.rewind(mark)
    assert upload.size_bytes == 4
    upload.write([b"three"])
    _, checksum = upload.finish("ais://b/o")
    assert (tmp_path / "1").read_bytes() == b"one three"
    assert checksum == xxhash.xxh64_hexdigest(b"one three", 0)


def test_a_discarded_upload_leaves_no_file_unless_it_is_kept(
    folder_fd: int, tmp_path: Path
) -> None:
    """A part of a multipart upload is kept, until its owner removes it."""
    Upload(folder_fd, "unused", None).discard()
    dropped, kept = Upload(folder_fd, "dropped", None), Upload(folder_fd, "kept", None)
    for upload in (dropped, kept):
        upload.write([b"data"])
        upload.finish("ais://b/o")
    kept.is_kept = True
    dropped.discard()
    kept.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    kept.remove()
    kept.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_removed_is_not_made_again(folder_fd: int, tmp_path: Path) -> None:
    """A write to it fails: half an object must not look like a whole one."""
    upload = Upload(folder_fd, "1", None)
    upload.write([b"data"])
    upload.pause()
    (tmp_path / "1").unlink()
    with pytest.raises(FileNotFoundError):
        upload.write([b"more"])
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(folder_fd: int, tmp_path: Path) -> None:
    """Neither by the first write nor by a later one."""
    (tmp_path / "precious").write_bytes(b"precious")
    upload = Upload(folder_fd, "1", None)
    upload.write([b"data"])
    upload.pause()
    (tmp_path / "1").unlink()
    (tmp_path / "1").symlink_to("precious")
    with pytest.raises(OSError, match="1"):
        upload.write([b"more"])
    with pytest.raises(OSError, match="1"):
        Upload(folder_fd, "1", None).write([b"data"])
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("error", [0, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_range_of_a_file_is_appended(
    folder_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Hashed and counted, whether or not the system copies it between these file systems."""
    data, pieces = os.urandom(3_000_000), list[bytes]()
    (tmp_path / "source").write_bytes(data)
    if error:
        call = Mock(side_effect=OSError(error, ""))
        monkeypatch.setattr(os, "copy_file_range", call, raising=False)
    upload = Upload(folder_fd, "1", None)
    upload.write([b"first"])
    with io.FileIO(tmp_path / "source") as source:
        upload.append(source, 5, len(data), pieces.extend)
        with pytest.raises(EOFError, match="ends at byte 3,000,000"):
            upload.append(source, len(data), len(data) + 1)
    _, checksum = upload.finish("")
    expected = b"first" + data[5:]
    assert (tmp_path / "1").read_bytes() == expected
    assert b"".join(pieces) == data[5:]
    assert (upload.size_bytes, checksum) == (len(expected), xxhash.xxh64_hexdigest(expected))


def test_bytes_are_appended_behind_a_pause(folder_fd: int, tmp_path: Path) -> None:
    """To a file that is open for appending the system copies none: they are written."""
    (tmp_path / "source").write_bytes(b"two")
    upload = Upload(folder_fd, "1", None)
    upload.write([b"one"])
    upload.pause()
    with io.FileIO(tmp_path / "source") as source:
        upload.append(source, 0, 3)
    upload.finish("")
    assert (tmp_path / "1").read_bytes() == b"onetwo"


def test_a_full_disk_is_an_error(
    folder_fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write is tried where the system says why it cannot copy."""
    (tmp_path / "source").write_bytes(b"two")
    call = Mock(side_effect=OSError(errno.ENOSPC, "full"))
    monkeypatch.setattr(os, "copy_file_range", call, raising=False)
    upload = Upload(folder_fd, "1", None)
    with io.FileIO(tmp_path / "source") as source, pytest.raises(OSError, match="full"):
        upload.append(source, 0, 3)
    upload.discard()
