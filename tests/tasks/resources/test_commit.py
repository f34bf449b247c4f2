"""Uploads beside the collection of garbage; see `test_garbage` for both at once."""

from __future__ import annotations

import pytest

from aisio.tasks.errors import ResourceError
from aisio.tasks.resources.commit import TRUSTED_S, PieceSender, begin, commit_tree
from aisio.tasks.resources.pieces import Condemned
from aisio.tasks.resources.tree import Piece, Tree, TreeFile, digest_of
from tests.tasks.resources.pieces_in_memory import Clock, PiecesInMemory

PIECE = Piece(digest_of(b"x"), 1)
TREE = Tree("folder", (TreeFile("x", (PIECE,)),))


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def store(clock) -> PiecesInMemory:
    """Return a store that has one piece."""
    made = PiecesInMemory.new(clock)
    made.put(PIECE, b"x")
    return made


def condemn(store: PiecesInMemory) -> None:
    """Condemn the piece."""
    store.write_condemned(Condemned("1", (PIECE.object_name,)))


def test_a_piece_is_sent_once(store, clock) -> None:
    """And not at all if the store has it, or is known to."""
    other = Piece(digest_of(b"y"), 1)
    sender, reads = PieceSender(store, begin(store, now=clock)), list[bytes]()

    def read() -> bytes:
        reads.append(b"y")
        return b"y"

    assert [sender.send(other, read) for _ in range(3)] == [other] * 3
    assert sender.send(PIECE, read) == PIECE
    known = Piece(digest_of(b"z"), 1, "copy")
    sender = PieceSender(store, begin(store, now=clock), [known])
    assert sender.send(known.without_copy(), read) == known
    assert reads == [b"y"]


def test_a_condemned_piece_is_sent_as_a_copy(store, clock) -> None:
    """Also one that was known to be there."""
    condemn(store)
    sender = PieceSender(store, begin(store, now=clock), [PIECE])
    copy = sender.send(PIECE, lambda: b"x")
    assert copy.copy
    assert store.read(copy) == b"x"


def test_a_piece_that_is_condemned_meanwhile_is_copied(store, clock) -> None:
    """The tree refers to the copy."""
    begun = begin(store, now=clock)
    condemn(store)
    commit_tree(store, "DSET1", TREE, begun, now=clock)
    (piece,) = store.files["DSET1"].pieces()
    assert (piece.without_copy(), store.read(piece)) == (PIECE, b"x")
    assert piece.copy


def test_a_long_upload_asks_again(store, clock) -> None:
    """What is lost is an error, and no tree is written."""
    begun = begin(store, now=clock)
    clock.time += TRUSTED_S + 1
    commit_tree(store, "DSET1", TREE, begun, now=clock)
    assert store.files["DSET1"] == TREE
    store.objects.clear()
    with pytest.raises(ResourceError, match="run this again"):
        commit_tree(store, "DSET2", TREE, begun, now=clock)
    assert "DSET2" not in store.files


def test_a_machine_that_slept_takes_its_tree_back(store, clock) -> None:
    """The piece was deleted before the tree was there."""
    begun = begin(store, now=clock)

    def sleep() -> None:
        if len(steps) == 1:
            clock.time += 3 * TRUSTED_S
            store.objects.clear()
        steps.append(1)

    steps: list[int] = []
    store.before.append(sleep)
    with pytest.raises(ResourceError, match="was deleted from the store"):
        commit_tree(store, "DSET1", TREE, begun, now=clock)
    assert store.files == {}
