"""The gateway's private folder: reached by no link, and emptied to the last folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.private_folder import PrivateFolder
from aisio.gateway.storage.safe_opener import SafeOpener


@contextlib.contextmanager
def open_private(root: Path) -> Iterator[PrivateFolder]:
    """Keep a folder's private folder open."""
    with contextlib.closing(SafeOpener(str(root))) as opener:
        files = PrivateFolder(str(root), opener.root_fd)
        with contextlib.closing(files):
            yield files


@pytest.mark.parametrize("name", ["", "tmp", "lock", "metadata.db", "metadata.db-wal"])
def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever made the folder may have put it there; its target stays unchanged."""
    root, precious = tmp_path / "root", tmp_path / "precious"
    (precious / "folder").mkdir(parents=True)
    (precious / "folder" / "file").write_text("x")
    root.mkdir()
    if name:
        (root / ".aisio").mkdir()
    (root / ".aisio" / name if name else root / ".aisio").symlink_to(precious)
    folder = Folder(str(root))
    with pytest.raises(ConfigError, match=r"\.aisio.* is a link or otherwise not a f.*: remove it"):
        folder.open()
    assert (precious / "folder" / "file").read_text() == "x"
    assert [path.name for path in precious.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["", "tmp", "metadata.db", "lock"])
def test_a_file_for_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    """And a folder for a file."""
    if name not in ("", "tmp"):
        (tmp_path / ".aisio" / name).mkdir(parents=True)
    elif name:
        (tmp_path / ".aisio").mkdir()
        (tmp_path / ".aisio" / name).touch()
    else:
        (tmp_path / ".aisio").touch()
    with pytest.raises(ConfigError, match="is a link or otherwise not"):
        Folder(str(tmp_path)).open()


def test_a_link_to_metadata_is_ignored_by_a_read_only_gateway(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It works without the metadata, and logs a warning."""
    (tmp_path / ".aisio").symlink_to("/")
    folder = Folder(str(tmp_path), read_only=True)
    folder.open()
    folder.close()
    assert "metadata is left out" in caplog.text


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    """A lock file keeps it out."""
    with open_private(tmp_path), pytest.raises(ConfigError, match="another gateway"):
        PrivateFolder(str(tmp_path), os.open(tmp_path, os.O_RDONLY))
    with open_private(tmp_path):
        pass


def test_leftover_uploads_are_removed_and_links_not_followed(tmp_path: Path) -> None:
    """The target of a link belongs to somebody else."""
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    temporary = tmp_path / ".aisio" / "tmp"
    (temporary / "bucket" / "d").mkdir(parents=True)
    (temporary / "1").touch()
    (temporary / "link").symlink_to(keep)
    (temporary / "bucket" / "d" / "link").symlink_to(keep)
    (temporary / "bucket" / "file").touch()
    with open_private(tmp_path) as files:
        files.remove_leftovers()
    assert list(temporary.iterdir()) == []
    assert (keep / "file").exists()


def test_very_deep_folders_are_removed(tmp_path: Path) -> None:
    """Deeper than Python can recurse, and than a path can be long."""
    with open_private(tmp_path) as files:
        here = os.dup(files.temporary_fd)
        for name in ["b", *["d" * 200] * 1050]:
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        files.remove_temporary("b")
        assert list((tmp_path / ".aisio" / "tmp").iterdir()) == []


def test_what_cannot_be_removed_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next start tries again."""
    with open_private(tmp_path) as files:
        files.remove_temporary("absent")
    assert "absent cannot be removed" in caplog.text
