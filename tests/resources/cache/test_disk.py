"""Errors of the disk say what to do, and what is written survives a power cut."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from aisio.errors import AccessError, ArchiveError
from aisio.resources.cache.disk import explain_disk_errors, sync


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ELOOP])
def test_a_folder_that_cannot_be_written_names_what_to_set(code: int) -> None:
    """A PermissionError, whatever the file system says."""
    with (
        pytest.raises(AccessError, match="denied unpacking /cache/x: .*/cache/y.*AISIO_CACHE_DIR"),
        explain_disk_errors("unpacking", Path("/cache/x")),
    ):
        raise OSError(code, os.strerror(code), "/cache/y")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_how_to_make_space(code: int) -> None:
    """With the same errno."""
    with (
        pytest.raises(OSError, match="while unpacking /cache/x; .*aisio cache prune") as caught,
        explain_disk_errors("unpacking", Path("/cache/x")),
    ):
        raise OSError(code, os.strerror(code))
    assert caught.value.errno == code


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ArchiveError("x"), KeyError("x")])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    """They need no advice, or have it."""
    with pytest.raises(type(error)) as caught, explain_disk_errors("unpacking", Path("/x")):
        raise error
    assert caught.value is error


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count files and folders that are synced, and calls that sync all."""
    counts: Counter[str] = Counter()

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        counts["folder" if is_folder else "file"] += 1

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "sync", lambda: counts.update(["all"]))
    return counts


def test_a_file_is_synced_with_its_name(tmp_path: Path, synced: Counter[str]) -> None:
    """The name is in the folder."""
    (tmp_path / "file").write_bytes(b"1")
    sync(tmp_path / "file")
    assert synced == {"file": 1, "folder": 1}


def test_a_folder_is_synced_with_its_content(tmp_path: Path, synced: Counter[str]) -> None:
    """Links have no content, and opening a pipe would wait for ever."""
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(b"1")
    (folder / "link").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    sync(folder)
    assert synced == {"file": 1, "folder": 3}


@pytest.mark.parametrize(("files", "counts"), [(63, {"file": 63, "folder": 2}), (64, {"all": 1})])
def test_many_files_are_synced_at_once(
    tmp_path: Path, synced: Counter[str], files: int, counts: dict[str, int]
) -> None:
    """Each fsync takes milliseconds."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(files):
        (folder / str(number)).touch()
    sync(folder)
    assert synced == counts
