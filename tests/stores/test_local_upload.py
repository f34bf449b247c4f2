"""LocalUpload: the file has its name once its bytes are on the disk, and otherwise is not there."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import IntegrityError, StorageError
from aisio.stores import LocalStore
from aisio.transport.writer import WriteOptions
from aisio.urls import ObjectUrl

PARTS = WriteOptions(part_bytes=4, concurrency=3)
DATA = bytes(range(100))


def url_of(path: Path) -> ObjectUrl:
    """Return the URL of a file."""
    return ObjectUrl.parse(f"file://{path}")


def test_parts_stand_in_their_order(tmp_path: Path) -> None:
    """Missing folders are made, and nothing else is left."""
    path = tmp_path / "a" / "b"
    with LocalStore().writer(url_of(path), PARTS) as file:
        file.write(DATA)
        assert [one.suffix for one in path.parent.iterdir()] == [PARTIAL_SUFFIX]
    assert path.read_bytes() == DATA
    assert [*path.parent.iterdir()] == [path]
    assert file.info == LocalStore().head(url_of(path))


def test_a_link_is_followed(tmp_path: Path) -> None:
    """As by put."""
    (tmp_path / "link").symlink_to("file")
    with LocalStore().writer(url_of(tmp_path / "link"), PARTS) as file:
        file.write(DATA)
    assert (tmp_path / "file").read_bytes() == DATA
    assert (tmp_path / "link").is_symlink()


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """At once."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(StorageError, match="it is not a regular file"):
            LocalStore().writer(url_of(path))


@pytest.mark.parametrize("size", [3, 100])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, size: int) -> None:
    """The error is that of the file system; the temporary file is removed."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    code = f"""
import resource, signal
from aisio.stores import LocalStore
from aisio.transport.writer import WriteOptions
from aisio.urls import ObjectUrl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2, resource.RLIM_INFINITY))
try:
    with LocalStore().writer(ObjectUrl.parse("{url_of(path)}"), WriteOptions(4, 3)) as file:
        file.write(bytes({size}))
except OSError as error: print("told", error)
except Exception as error: print(type(error).__name__, error)
"""
    assert resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"StorageError write {url_of(path)}: File too large")
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    """And its temporary file, which no listing shows."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    code = f"""
import sys
from aisio.stores import LocalStore
from aisio.transport.writer import WriteOptions
from aisio.urls import ObjectUrl
file = LocalStore().writer(ObjectUrl.parse("{url_of(path)}"), WriteOptions(4, 3))
file.write(bytes(100))
print("written", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"
    listed = LocalStore().list(ObjectUrl.parse(f"file://{tmp_path}/"))
    assert [info.url for info in listed] == [str(url_of(path))]


def test_a_temporary_file_that_was_changed_is_noticed(tmp_path: Path) -> None:
    """By its size."""
    file = LocalStore().writer(url_of(tmp_path / "a"), PARTS)
    file.write(DATA)
    (partial,) = tmp_path.iterdir()
    with partial.open("ab") as other:
        other.write(bytes(1000))
    with pytest.raises(IntegrityError, match=r"100 bytes were written, the temporary file has"):
        file.close()
    assert [*tmp_path.iterdir()] == []


def test_unfinished_uploads_are_those_of_the_prefix(tmp_path: Path) -> None:
    """And one that is removed while they are listed is left out."""
    left = [tmp_path / folder / f".x{PARTIAL_SUFFIX}" for folder in ("other", "run-1", "run-2")]
    for path in left:
        path.parent.mkdir()
        path.write_bytes(DATA)
    found = LocalStore().unfinished_uploads(ObjectUrl.parse(f"file://{tmp_path}/run-"))
    urls = [next(found).url]
    left[2].unlink()
    urls += [upload.url for upload in found]
    assert urls == [f"file://{tmp_path}/run-1/"]
