"""Uploads beside the collection of garbage: what they send, and when their trees are written.

`garbage` deletes pieces in two phases: it condemns those that no tree refers to, and deletes them
after a time of grace if still no tree does. An upload takes as sent what the store has already. For
that it keeps two rules:

    A name that was condemned is never used again. The same bytes get an object of another name, a
    copy: the names that count are those that were condemned when the upload began, and those that
    are when it ends.
    A tree is written at once after that. What is condemned later is deleted after the time of grace
    at the earliest, and then the tree is there.

Source: the two-step fossil collection of Duplicacy, Gilbert Chen, "A New Approach to Garbage
Collection", with copies in place of fossils: object stores cannot rename.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import time

from aisio.errors import NotFoundError
from aisio.tasks.errors import ResourceError
from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Piece, Tree

__all__ = ["MIN_GRACE_S", "Begun", "PieceSender", "begin", "commit_tree"]

MIN_GRACE_S = 3600.0
"""The shortest time of grace, in seconds."""

TRUSTED_S = MIN_GRACE_S / 2
"""For so long it is believed that the store has a piece which it had."""

_COPY_BYTES = 4


@dataclass(frozen=True)
class Begun:
    """An upload that has begun.

    Attributes:
        time: When, in seconds since 1970.
        condemned: Names of pieces that were condemned then.
    """

    time: float
    condemned: frozenset[str]


def begin(store: PieceStore, *, now: Callable[[], float] = time) -> Begun:
    """Return the beginning of an upload, or of the use of what another one has sent.

    Raises:
        StorageError: The store does not answer.
    """
    started = now()
    return Begun(started, _condemned(store))


def _condemned(store: PieceStore) -> frozenset[str]:
    return frozenset(name for one in store.condemned() for name in one.pieces)


class PieceSender:
    """Sends pieces that the store does not have, each once; any number of threads may use it.

    Args:
        store: Where to.
        begun: The upload.
        present: Pieces that the store is known to have.
    """

    def __init__(self, store: PieceStore, begun: Begun, present: Iterable[Piece] = ()) -> None:
        self._store = store
        self._condemned = begun.condemned
        self._is_new = store.is_empty()  # then no piece need be asked for
        self._lock = threading.Lock()
        self._sent = {
            piece.without_copy(): piece
            for piece in present
            if piece.object_name not in begun.condemned
        }

    def send(self, piece: Piece, read: Callable[[], bytes]) -> Piece:
        """Have the store keep a piece; return it as it is kept there.

        Args:
            piece: The piece, which is no copy.
            read: Returns its bytes; it is not called if the store has them.

        Raises:
            StorageError: It cannot be stored.
        """
        with self._lock:
            if piece in self._sent:
                return self._sent[piece]
            kept = self._sent[piece] = _copy(piece) if self._is_condemned(piece) else piece
        if kept.copy or self._is_new or not self._store.has(piece):
            self._store.put(kept, read())
        return kept

    def _is_condemned(self, piece: Piece) -> bool:
        return piece.object_name in self._condemned


def commit_tree(
    store: PieceStore,
    resource_id: str,
    tree: Tree,
    begun: Begun,
    *,
    now: Callable[[], float] = time,
) -> None:
    """Write the tree of a resource.

    Args:
        store: Where its pieces are.
        resource_id: The resource.
        tree: Its files.
        begun: The upload; `begin` was called before the store was asked for any of the pieces.
        now: Returns the time, in seconds since 1970.

    Raises:
        ResourceError: The store has lost a piece.
        StorageError: It does not answer.
    """
    while True:
        if abs(now() - begun.time) > TRUSTED_S:
            begun = begin(store, now=now)
            _check(store, resource_id, tree)
        checked = now()
        tree = _without(_condemned(store), tree, store)
        store.write_tree(resource_id, tree)
        if abs(now() - checked) <= TRUSTED_S:
            return
        # This machine has slept before it wrote the tree: what it refers to may be gone.
        begun = Begun(float("-inf"), frozenset())


def _check(store: PieceStore, resource_id: str, tree: Tree) -> None:
    """Check that the store has all pieces of a tree; else it must not have the tree.

    Raises:
        ResourceError: One is lost.
    """
    for piece in tree.pieces():
        if not store.has(piece):
            store.delete_tree(resource_id)
            raise _lost(piece)


def _without(condemned: frozenset[str], tree: Tree, store: PieceStore) -> Tree:
    """Return a tree with copies of those of its pieces that are condemned."""
    copies: dict[Piece, Piece] = {}
    for piece in tree.pieces():
        if piece.object_name in condemned:
            copies[piece] = _copy(piece)
            try:
                store.put(copies[piece], store.read(piece))
            except NotFoundError as error:
                raise _lost(piece) from error
    return tree.with_pieces(lambda piece: copies.get(piece, piece)) if copies else tree


def _copy(piece: Piece) -> Piece:
    return Piece(piece.digest, piece.size, secrets.token_hex(_COPY_BYTES))


def _lost(piece: Piece) -> ResourceError:
    return ResourceError(
        f"piece {piece.object_name} was deleted from the store during the upload: run this again"
    )
