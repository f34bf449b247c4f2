"""PieceStore: pieces and trees in an object store."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from aisio.errors import IntegrityError, NotFoundError, StorageError
from aisio.records import ObjectInfo
from aisio.stores import Store
from aisio.stores.local import LocalStore
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Piece, Tree, TreeFile, digest_of
from aisio.urls import ObjectUrl

DATA = b"some bytes"
PIECE = Piece(digest_of(DATA), len(DATA))


def test_a_piece_is_named_by_its_content(tmp_path):
    """And read back, also by another process."""
    store = PieceStore(f"file://{tmp_path}/")
    assert store.is_empty()
    assert not store.has(PIECE)
    store.put(PIECE, DATA)
    assert store.has(PIECE)
    assert not store.is_empty()
    assert not store.has(Piece(PIECE.digest, 3))
    assert pickle.loads(pickle.dumps(store)).read(PIECE) == DATA
    assert (tmp_path / "pieces" / PIECE.digest[:2] / PIECE.digest).read_bytes() == DATA


def test_a_piece_with_other_bytes_is_an_error(tmp_path):
    """The store's disk may rot."""
    store = PieceStore(f"file://{tmp_path}/")
    store.put(PIECE, DATA)
    Path(tmp_path / "pieces" / PIECE.digest[:2] / PIECE.digest).write_bytes(b"Some bytes")
    with pytest.raises(IntegrityError, match="upload the data again"):
        store.read(PIECE)


def test_a_tree_says_that_an_upload_is_complete(tmp_path):
    """Until it is deleted."""
    store, tree = PieceStore(f"file://{tmp_path}/"), Tree("folder", (TreeFile("a", (PIECE,)),))
    assert not store.has_tree("DSET1")
    store.write_tree("DSET1", tree)
    assert store.has_tree("DSET1")
    assert store.read_tree("DSET1") == tree
    store.delete_tree("DSET1")
    with pytest.raises(NotFoundError):
        store.read_tree("DSET1")


class Unsettled(LocalStore):
    """A store that does not find what it lists, and whose first listings end early."""

    def __init__(self, failures: list[StorageError]) -> None:
        self.failures = failures

    def list(self, prefix: ObjectUrl, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """List one object before each failure."""
        listed = super().list(prefix, start_after=start_after)
        if self.failures:
            yield next(listed)
            failure = self.failures.pop()
            raise failure from None if isinstance(failure, NotFoundError) else FileNotFoundError()
        yield from listed

    def read(self, url: ObjectUrl, *, etl_name: str | None = None) -> bytes:
        """Find some objects only."""
        if url.name.endswith("lost"):
            raise NotFoundError(f"get {url}: no such object")
        return super().read(url)


class UnsettledPieces(PieceStore):
    """Pieces in such a store."""

    failures: ClassVar[list[StorageError]] = []

    @property
    def _store(self) -> Store:
        return Unsettled(self.failures)


def test_what_is_listed_and_not_found_is_an_error(tmp_path):
    """Its pieces would count as garbage."""
    store, tree = UnsettledPieces(f"file://{tmp_path}/"), Tree("folder", ())
    for name in ("DSET1", "lost"):
        store.write_tree(name, tree)
    with pytest.raises(StorageError, match="trees/lost is listed, and the store says"):
        list(store.trees())
    store.delete_tree("lost")
    assert list(store.trees()) == [("DSET1", tree)]


def test_a_listing_that_ends_early_is_done_again(tmp_path):
    """A file was deleted then, perhaps; a bucket that is gone in the middle is an error."""
    store, tree = UnsettledPieces(f"file://{tmp_path}/"), Tree("folder", ())
    for name in ("DSET1", "DSET2"):
        store.write_tree(name, tree)
    store.failures.extend([StorageError("vanished")] * 2)
    assert [name for name, _ in store.trees()] == ["DSET1", "DSET2"]
    store.failures.extend([StorageError("vanished")] * 3)
    with pytest.raises(StorageError, match="vanished"):
        list(store.trees())
    store.failures.append(NotFoundError("no such bucket"))
    with pytest.raises(NotFoundError):
        list(store.trees())
