"""Files that are replaced as a whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from aisio.atomic_write import (
    PARTIAL_SUFFIX,
    atomic_write,
    forget_partial,
    open_partial,
    remove_abandoned_partials,
    remove_own_partials,
    write_bytes,
)


def test_the_new_bytes_show_at_the_end(tmp_path: Path) -> None:
    """Until then readers see the old ones, and the new file has another name."""
    path = tmp_path / "a"
    path.write_bytes(b"old, and longer")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old, and longer"
        assert [name.suffix for name in tmp_path.iterdir() if name != path] == [PARTIAL_SUFFIX]
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """The temporary file is removed."""
    (tmp_path / "a").write_bytes(b"old")

    def write_half(name: str) -> None:
        with atomic_write(tmp_path / name) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    for name in ("a", "b"):
        with pytest.raises(KeyboardInterrupt):
            write_half(name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_link_is_followed(tmp_path: Path) -> None:
    """It stays a link, also where it was broken."""
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The rename would only fail at the end."""
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path):
        pytest.fail("the block was entered")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused_as_well(tmp_path: Path) -> None:
    """A path that ends in a slash means a folder: a file of that name would be a surprise."""
    with pytest.raises(IsADirectoryError), atomic_write(f"{tmp_path}/out/"):
        pytest.fail("the block was entered")
    assert list(tmp_path.iterdir()) == []


def test_an_error_names_the_path_that_was_given(tmp_path: Path) -> None:
    """The name of the temporary file says nothing to anybody."""
    path = tmp_path / "none" / "a"
    with pytest.raises(FileNotFoundError) as caught, atomic_write(path):
        pytest.fail("the block was entered")
    assert caught.value.filename == str(path)


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    """Through a link too; its reader gets all bytes, and none where the block raised."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    read: list[bytes] = []

    def drain() -> None:
        read.append((tmp_path / "pipe").read_bytes())

    def write_half() -> None:
        with atomic_write(tmp_path / "pipe") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    for path in (tmp_path / "pipe", tmp_path / "link"):
        reader = threading.Thread(target=drain)
        reader.start()
        with atomic_write(path) as file:
            file.write(b"there ")
            os.pwrite(file.fileno(), b"HERE", 6)
        reader.join()
    reader = threading.Thread(target=drain)
    reader.start()
    with pytest.raises(KeyboardInterrupt):
        write_half()
    reader.join()
    assert read == [b"there HERE"] * 2 + [b""]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_device_is_written_into_and_not_replaced(null_device: Path) -> None:
    """A program that runs as root could remove /dev/null."""
    with atomic_write(null_device) as file:
        file.write(b"bytes")
    assert stat.S_ISCHR(null_device.stat().st_mode)
    assert list(null_device.parent.iterdir()) == [null_device]


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays: a socket cannot be opened by its path."""
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(OSError, match="socket"), atomic_write("socket"):
            pytest.fail("the block was entered")
        assert stat.S_ISSOCK(Path("socket").stat().st_mode)


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    """It is not replaced; the error is no RuntimeError, which pathlib raises before 3.13."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"), atomic_write(tmp_path / "loop"):
        pytest.fail("the block was entered")
    assert (tmp_path / "loop").is_symlink()


def test_what_killed_processes_have_left_is_removed(tmp_path: Path) -> None:
    """A file that is being written is locked, also by this process, and stays."""
    abandoned = tmp_path / f".0123{PARTIAL_SUFFIX}"
    abandoned.write_bytes(b"half")
    (tmp_path / f"named{PARTIAL_SUFFIX}").write_bytes(b"a user's own")
    with atomic_write(tmp_path / "a") as file:
        remove_abandoned_partials(tmp_path)
        assert not abandoned.exists()
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2
    remove_abandoned_partials(tmp_path / "none")


def test_a_small_file_is_written_as_a_whole(tmp_path):
    """It replaces the old one; what fails leaves that and nothing else."""
    path = tmp_path / "a"
    for data in (b"old", b"", b"new"):
        write_bytes(str(path), data)
        assert path.read_bytes() == data
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    with pytest.raises(FileNotFoundError, match="none/a"):
        write_bytes(str(tmp_path / "none/a"), b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_bytes(str(tmp_path / "folder"), b"x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_names_the_file(tmp_path, number):
    """The system says it of a descriptor; an error of something else is left as it is."""
    path = tmp_path / "a"
    with pytest.raises(OSError, match="a") as caught, atomic_write(path):
        raise OSError(number, os.strerror(number))
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    with pytest.raises(OSError, match="reset") as caught, atomic_write(path):
        raise OSError(errno.ECONNRESET, "reset")
    assert caught.value.filename is None
    assert not list(tmp_path.iterdir())


def test_what_this_process_has_not_finished_can_be_removed(tmp_path: Path) -> None:
    """Not what it has finished, nor what belongs to another process."""
    (tmp_path / f".0{PARTIAL_SUFFIX}").touch()
    with atomic_write(tmp_path / "whole") as file:
        file.write(b"whole")
    _, partial, file = open_partial(tmp_path / "half")
    _, handed_over, other = open_partial(tmp_path / "other")
    forget_partial(handed_over)
    for one in (file, other):
        one.close()
    remove_own_partials()
    assert not partial.exists()
    forget_partial(partial)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f".0{PARTIAL_SUFFIX}", "whole", handed_over.name}
