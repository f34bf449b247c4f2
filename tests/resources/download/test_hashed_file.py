"""A file that is written and hashed at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from aisio.resources.download.hashed_file import HashedFile

DATA = bytes(range(256)) * 12_000


def reader(data: bytes, error: Exception | None = None) -> Callable[[memoryview], int]:
    """Return a function that reads the data, and then ends or raises the error."""
    position = 0

    def readinto(buffer: memoryview) -> int:
        nonlocal position
        piece = data[position : position + len(buffer)]
        if not piece and error:
            raise error
        buffer[: len(piece)] = piece
        position += len(piece)
        return len(piece)

    return readinto


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HashedFile]:
    """Return a file that holds some bytes of an earlier download."""
    (tmp_path / "file").write_bytes(b"earlier")
    with HashedFile(tmp_path / "file", "sha256") as file:
        yield file


def ignore(size_bytes: int) -> None:
    """Do nothing."""


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "one byte", "3 MB"])
def test_what_is_received_is_written_and_hashed(
    file: HashedFile, tmp_path: Path, data: bytes
) -> None:
    """More of it than there are buffers."""
    sizes: list[int] = []
    file.restart()
    file.receive(reader(data), sizes.append)
    assert file.hexdigest() == sha256(data).hexdigest()
    assert (tmp_path / "file").read_bytes() == data
    assert sizes == sorted(sizes)
    assert (sizes or [0])[-1] == file.size_bytes == len(data)


def test_new_bytes_are_appended_to_existing_ones(file: HashedFile, tmp_path: Path) -> None:
    """Which are hashed once."""
    file.hash_existing()
    assert file.size_bytes == 7
    file.receive(reader(DATA), ignore)
    assert file.hexdigest() == sha256(b"earlier" + DATA).hexdigest()
    assert (tmp_path / "file").read_bytes() == b"earlier" + DATA


def test_what_was_read_before_an_error_is_kept(file: HashedFile, tmp_path: Path) -> None:
    """The next response appends to it."""
    file.restart()
    with pytest.raises(ConnectionError):
        file.receive(reader(DATA, ConnectionError("cut")), ignore)
    assert file.size_bytes == len(DATA)
    file.receive(reader(b"more"), ignore)
    assert file.hexdigest() == sha256(DATA + b"more").hexdigest()
    assert (tmp_path / "file").read_bytes() == DATA + b"more"


def test_a_restart_forgets_all_bytes(file: HashedFile, tmp_path: Path) -> None:
    """And their hash."""
    file.restart()
    file.receive(reader(DATA), ignore)
    file.restart()
    assert file.size_bytes == 0
    file.receive(reader(b"new"), ignore)
    assert file.hexdigest() == sha256(b"new").hexdigest()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_the_thread_ends_with_the_file(tmp_path: Path) -> None:
    """Also after an error."""
    broken = reader(DATA, ConnectionError("cut"))
    with pytest.raises(ConnectionError), HashedFile(tmp_path / "file", "md5") as file:
        file.receive(broken, ignore)
    assert [thread for thread in threading.enumerate() if thread.name == "aisio-hash"] == []
