"""Uploading files: each piece once, and only those that the store lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisio.errors import IntegrityError, StorageError
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.scan import scan_folder
from aisio.tasks.resources.stat_cache import StatCache
from aisio.tasks.resources.tree import PIECE_BYTES, Piece
from aisio.tasks.resources.upload import known_tree, upload_files
from tests.tasks.places import sending, write_data


class CountingStore(PieceStore):
    """Counts what is sent; fails where it is told to."""

    sent: list[Piece]
    fails_after: int

    def put(self, piece: Piece, data: bytes | memoryview) -> None:
        """Count a piece, and store it."""
        if len(self.sent) >= self.fails_after:
            raise StorageError("put: no space is left")
        self.sent.append(piece)
        super().put(piece, data)


def counting(folder: Path, fails_after: int = 1 << 30) -> CountingStore:
    """Return a store in a folder."""
    store = CountingStore(f"file://{folder}/store/")
    object.__setattr__(store, "sent", [])
    object.__setattr__(store, "fails_after", fails_after)
    return store


def settled_cache(folder: Path) -> StatCache:
    """Return a cache that trusts files at once."""
    return StatCache(folder / "home", now_ns=lambda: 1 << 62)


def test_an_unchanged_folder_is_not_read_again(tmp_path):
    """Its tree is known by its files' states alone."""
    folder, cache = write_data(tmp_path / "data"), settled_cache(tmp_path)
    (folder / "empty").write_bytes(b"")
    store, progress = counting(tmp_path), list[tuple[int, int]]()
    files = scan_folder(folder, cache)
    assert known_tree(files) is None
    tree = upload_files(files, sending(store), cache, on_progress=lambda *now: progress.append(now))
    assert len(store.sent) == 3
    assert progress[-1] == (3000, 3000)
    assert known_tree(scan_folder(folder, cache)) == tree
    upload_files(scan_folder(folder, cache), sending(store), cache)
    assert len(store.sent) == 3


def test_progress_is_reported_by_piece(tmp_path):
    """Not only when a large file is done."""
    folder, cache, progress = tmp_path / "data", settled_cache(tmp_path), list[tuple[int, int]]()
    folder.mkdir()
    (folder / "large").write_bytes(bytes(PIECE_BYTES) + b"tail")
    total = PIECE_BYTES + 4
    upload_files(
        scan_folder(folder, cache),
        sending(counting(tmp_path)),
        cache,
        on_progress=lambda *now: progress.append(now),
    )
    assert progress == [(PIECE_BYTES, total), (total, total)]


def test_a_changed_file_alone_is_sent(tmp_path):
    """And a file with the content of another is not."""
    folder, cache, store = (
        write_data(tmp_path / "data", 20),
        settled_cache(tmp_path),
        counting(tmp_path),
    )
    first = upload_files(scan_folder(folder, cache), sending(store), cache)
    store.sent.clear()
    (folder / "train" / "7.bin").write_bytes(b"changed")
    (folder / "train" / "copy.bin").write_bytes((folder / "train" / "8.bin").read_bytes())
    second = upload_files(scan_folder(folder, cache), sending(store, first.pieces()), cache)
    assert [piece.size for piece in store.sent] == [7]
    assert second.checksum() != first.checksum()


def test_a_large_file_is_cut_into_pieces(tmp_path):
    """What is appended is sent alone, if it begins at a piece's end."""
    folder, cache, store = tmp_path / "data", settled_cache(tmp_path), counting(tmp_path)
    folder.mkdir()
    (folder / "large").write_bytes(bytes(PIECE_BYTES) + b"1" * PIECE_BYTES + b"tail")
    tree = upload_files(scan_folder(folder, cache), sending(store), cache)
    assert [piece.size for piece in tree.files[0].pieces] == [PIECE_BYTES, PIECE_BYTES, 4]
    store.sent.clear()
    with (folder / "large").open("ab") as file:
        file.write(b"more")
    upload_files(scan_folder(folder, cache), sending(store), cache)
    assert [piece.size for piece in store.sent] == [8]


def test_an_upload_that_failed_goes_on_where_it_stopped(tmp_path):
    """The first failure is raised with its cause, and nothing is sent twice."""
    folder, cache = write_data(tmp_path / "data", 50), settled_cache(tmp_path)
    failing = counting(tmp_path, fails_after=10)
    with pytest.raises(StorageError, match="no space"):
        upload_files(scan_folder(folder, cache), sending(failing), cache)
    store = counting(tmp_path)
    upload_files(scan_folder(folder, cache), sending(store), cache)
    assert len(store.sent) == 50 - len(failing.sent)
    assert not set(store.sent) & set(failing.sent)


def test_a_file_that_changes_while_it_is_uploaded_is_an_error(tmp_path):
    """Else the data set would have a state that the folder never had."""
    folder, cache, store = (
        write_data(tmp_path / "data"),
        settled_cache(tmp_path),
        counting(tmp_path),
    )
    files = scan_folder(folder, cache)
    (folder / "train" / "1.bin").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"1\.bin changed while it was uploaded"):
        upload_files(files, sending(store), cache)


def test_a_known_file_whose_piece_is_gone_is_read_again(tmp_path):
    """As where the bucket was emptied."""
    folder, cache, store = (
        write_data(tmp_path / "data"),
        settled_cache(tmp_path),
        counting(tmp_path),
    )
    tree = upload_files(scan_folder(folder, cache), sending(store), cache)
    lost = tree.files[1].pieces[0]
    (tmp_path / "store" / "pieces" / lost.digest[:2] / lost.digest).unlink()
    store.sent.clear()
    assert upload_files(scan_folder(folder, cache), sending(store), cache) == tree
    assert store.sent == [lost]
