"""PieceStore: pieces and trees in an object store."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aisio.errors import IntegrityError, NotFoundError
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Piece, Tree, TreeFile, digest_of

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
