"""Pieces from a file of this machine, and from the store where that has others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aisio.errors import NotFoundError
from aisio.tasks.resources.download import mount
from aisio.tasks.resources.local_pieces import read_pieces
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.resources.stat_cache import StatCache
from aisio.tasks.resources.tree import PIECE_BYTES, Tree
from aisio.tasks.resources.upload import upload_files
from tests.tasks.places import sending, write_data

PARTS = (b"a" * PIECE_BYTES, b"b" * PIECE_BYTES, b"c")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of three pieces."""
    path = tmp_path / "data" / "train" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(PARTS))
    return path


def uploaded(place: Path) -> tuple[Tree, PieceStore]:
    """Upload the folder of data."""
    store, cache = PieceStore(f"file://{place}/store/"), StatCache(place / "home")
    return upload_files(scan_folder(place / "data", cache), sending(store), cache), store


def nothing(place: Path) -> PieceStore:
    """Return a store that has no pieces."""
    return PieceStore(f"file://{place}/nothing/")


def test_the_store_is_not_read(tmp_path: Path, file: Path) -> None:
    """Also if the file is longer by now: its pieces are the same."""
    tree, _ = uploaded(tmp_path)
    for _ in range(2):
        assert tuple(read_pieces(tree.files[0], nothing(tmp_path), file)) == PARTS
        file.write_bytes(b"".join(PARTS) + b"more")


def test_a_piece_that_has_changed_is_read_from_the_store(tmp_path: Path, file: Path) -> None:
    """The others are not."""
    tree, store = uploaded(tmp_path)
    with file.open("r+b") as opened:
        opened.seek(PIECE_BYTES + 7)
        opened.write(b"x")
    assert tuple(read_pieces(tree.files[0], store, file)) == PARTS
    pieces = read_pieces(tree.files[0], nothing(tmp_path), file)
    assert next(pieces) == PARTS[0]
    with pytest.raises(NotFoundError):
        next(pieces)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _short(path: Path) -> None:
    os.truncate(path, PIECE_BYTES - 1)


@pytest.mark.parametrize("change", [Path.unlink, _folder, _pipe, _short])
def test_a_file_that_is_another_one_is_read_from_the_store(
    tmp_path: Path, file: Path, change: Callable[[Path], None]
) -> None:
    """Whatever is there now."""
    tree, store = uploaded(tmp_path)
    change(file)
    assert tuple(read_pieces(tree.files[0], store, file)) == PARTS
    assert tuple(read_pieces(tree.files[0], store)) == PARTS


def test_a_task_cannot_change_the_files_of_the_user(tmp_path: Path) -> None:
    """It has copies, no links; those may be run that might be before."""
    data = write_data(tmp_path / "data")
    (data / "run.sh").write_bytes(b"#!/bin/sh\n")
    (data / "run.sh").chmod(0o755)
    (data / "link").symlink_to("run.sh")
    tree, _ = uploaded(tmp_path)
    target = mount(tree, nothing(tmp_path), tmp_path / "mounts" / "D", read_only=True, local=data)
    names = [file.name for file in tree.files]
    assert len(names) == 5
    for name in names:
        copy, source = target / name, data / name
        assert not copy.is_symlink()
        assert (copy.stat().st_nlink, copy.samefile(source)) == (1, False)
        assert bool(copy.stat().st_mode & 0o100) == bool(source.stat().st_mode & 0o100)
        copy.chmod(0o600)
        copy.write_bytes(b"changed")
    assert (data / "run.sh").read_bytes() == b"#!/bin/sh\n"
    assert (data / "train" / "1.bin").read_bytes() == bytes([1]) * 1000
