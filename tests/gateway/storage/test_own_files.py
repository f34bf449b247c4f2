"""The gateway's own files: reached by no link, and emptied to the last folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aisio.errors import ConfigError
from aisio.gateway.storage.beneath import Beneath
from aisio.gateway.storage.folder import Folder
from aisio.gateway.storage.own_files import OwnFiles


@contextlib.contextmanager
def own_files(root: Path) -> Iterator[OwnFiles]:
    """Open a folder's own files."""
    with contextlib.closing(Beneath(str(root))) as beneath:
        files = OwnFiles(str(root), beneath.handle)
        with contextlib.closing(files):
            yield files


@pytest.mark.parametrize("name", ["", "tmp", "lock", "metadata.db", "metadata.db-wal"])
def test_a_link_in_its_place_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    """A folder from elsewhere may bring one; what it leads to keeps what it has."""
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
def test_what_is_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    """A file for a folder, a folder for a file."""
    if name not in ("", "tmp"):
        (tmp_path / ".aisio" / name).mkdir(parents=True)
    elif name:
        (tmp_path / ".aisio").mkdir()
        (tmp_path / ".aisio" / name).touch()
    else:
        (tmp_path / ".aisio").touch()
    with pytest.raises(ConfigError, match="is a link or otherwise not"):
        Folder(str(tmp_path)).open()


def test_a_link_to_metadata_is_left_out_where_nothing_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is served for reading only can do without; the log tells."""
    (tmp_path / ".aisio").symlink_to("/")
    folder = Folder(str(tmp_path), read_only=True)
    folder.open()
    folder.close()
    assert "metadata is left out" in caplog.text


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    """One lock for the folder."""
    with own_files(tmp_path), pytest.raises(ConfigError, match="another gateway"):
        OwnFiles(str(tmp_path), os.open(tmp_path, os.O_RDONLY))
    with own_files(tmp_path):
        pass


def test_left_uploads_go_and_links_among_them_lead_nowhere(tmp_path: Path) -> None:
    """What a link leads to is somebody else's."""
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    temporary = tmp_path / ".aisio" / "tmp"
    (temporary / "bucket" / "d").mkdir(parents=True)
    (temporary / "1").touch()
    (temporary / "link").symlink_to(keep)
    (temporary / "bucket" / "d" / "link").symlink_to(keep)
    (temporary / "bucket" / "file").touch()
    with own_files(tmp_path) as files:
        files.empty()
    assert list(temporary.iterdir()) == []
    assert (keep / "file").exists()


def test_folders_in_folders_go_however_many(tmp_path: Path) -> None:
    """Deeper than functions may call each other, and than paths may be long."""
    with own_files(tmp_path) as files:
        here = os.dup(files.temporary)
        for name in ["b", *["d" * 200] * 1050]:
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        files.remove("b")
        assert list((tmp_path / ".aisio" / "tmp").iterdir()) == []


def test_what_cannot_be_removed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again at the next start."""
    with own_files(tmp_path) as files:
        files.remove("absent")
    assert "absent cannot be removed" in caplog.text
