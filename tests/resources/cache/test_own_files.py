"""Files that a load writes: no link of another user is followed, and no pipe is waited for."""

from __future__ import annotations

import os
import socket

import pytest

from aisio.resources.cache.cache import Cache
from aisio.resources.cache.own_files import create_file, open_or_create_file, read_regular_file
from aisio.resources.cache.side_files import (
    LOCK,
    LOCK_HOLDER,
    MARKER,
    side_file,
)
from aisio.resources.download.hashed_file import HashedFile
from aisio.resources.download.partial import PartialFile, PartialState

MINE = "what the user has elsewhere\n"


@pytest.fixture
def victim(tmp_path):
    """Return a file of the user's own, outside of the cache."""
    file = tmp_path / "home" / "victim"
    file.parent.mkdir()
    file.write_text(MINE)
    return file


@pytest.fixture
def name(tmp_path):
    """Return a path in a folder that other users can write to."""
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "name"


def symlink(name, victim):
    """Put a symbolic link there."""
    name.symlink_to(victim)


def dangling(name, victim):
    """Put a symbolic link to a file that is not there yet."""
    name.symlink_to(victim.with_name("absent"))


def hard_link(name, victim):
    """Give the file a second name."""
    os.link(victim, name)


def pipe(name, victim):
    """Put a pipe there: opening it waits for a reader."""
    os.mkfifo(name)


def unix_socket(name, victim):
    """Put a socket there."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(name))


PLANTED = [symlink, dangling, hard_link, pipe, unix_socket]


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("opened", [create_file, open_or_create_file])
def test_what_was_planted_is_replaced(name, victim, opened, plant):
    """The bytes go into a new file of that name, and nowhere else."""
    plant(name, victim)
    with os.fdopen(opened(name), "wb") as file:
        file.write(b"new")
    assert name.read_bytes() == b"new"
    assert not name.is_symlink()
    assert victim.read_text() == MINE
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]


def test_an_own_file_keeps_its_bytes(name):
    """The bytes of an earlier process are kept."""
    name.write_bytes(b"left")
    with os.fdopen(open_or_create_file(name), "r+b") as file:
        assert file.read() == b"left"


@pytest.mark.parametrize("plant", [symlink, dangling, pipe, unix_socket])
def test_nothing_but_a_regular_file_is_read(name, victim, plant):
    """A marker that leads elsewhere is as none."""
    plant(name, victim)
    assert read_regular_file(name, 1000) is None


def test_a_file_that_is_too_large_is_not_read(name):
    """What should be small and is not would fill the memory."""
    name.write_bytes(b"12345")
    assert read_regular_file(name, 5) == b"12345"
    assert read_regular_file(name, 4) is None


@pytest.mark.parametrize("plant", PLANTED)
def test_a_download_is_not_written_through_a_link(name, victim, plant):
    """Neither its bytes nor its state."""
    partial = PartialFile(name)
    plant(partial.path, victim)
    plant(name.with_name(".name.json.aisio-partial"), victim)
    with HashedFile(partial.path, "sha256") as file:
        file.restart()
        pieces = iter([b"bytes", b""])

        def readinto(buffer):
            piece = next(pieces)
            buffer[: len(piece)] = piece
            return len(piece)

        partial.write_state(PartialState("test://origin", "v1", 5))
        file.receive(readinto, lambda done: None)
    assert partial.read_state() == PartialState("test://origin", "v1", 5)
    partial.finish()
    assert name.read_bytes() == b"bytes"
    assert victim.read_text() == MINE


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("suffix", [LOCK_HOLDER, MARKER, f"{MARKER}-new"])
def test_a_marker_is_not_written_through_a_link(name, victim, suffix, plant):
    """Nor the name of the lock's holder; and the times of a link's target stay."""
    os.utime(victim, (1, 1))
    cache = Cache(name.parent)
    name.write_bytes(b"data")
    plant(side_file(name, suffix), victim)
    assert cache.find_verified(name) is None
    with cache.lock(name):
        cache.mark_verified(name, name)
    assert cache.find_verified(name) == name
    assert victim.read_text() == MINE
    assert victim.stat().st_mtime == 1 or plant is hard_link


def test_a_pipe_as_a_lock_is_not_waited_for(name):
    """Opening it would last until somebody opens its other end."""
    os.mkfifo(side_file(name, LOCK))
    with Cache(name.parent).lock(name):
        pass


def test_a_pipe_among_what_was_unpacked_is_not_waited_for(name):
    """Programs may leave one there."""
    name.write_bytes(b"data")
    result = name.with_name("name.untar")
    result.mkdir()
    os.mkfifo(result / "pipe")
    cache = Cache(name.parent)
    with cache.lock(name):
        cache.mark_verified(name, result)
    assert cache.find_verified(name, result) == result
