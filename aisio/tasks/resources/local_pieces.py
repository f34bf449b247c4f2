"""Pieces of a file, from a file of this machine that may be the one that was uploaded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisio.tasks.resources.pieces import PieceStore
from aisio.tasks.resources.tree import Piece, TreeFile, digest_of

__all__ = ["read_pieces"]


def read_pieces(file: TreeFile, store: PieceStore, local: Path | None = None) -> Iterator[bytes]:
    """Yield the pieces of a file, each verified by its digest.

    A piece that the local file does not have, as it was changed or is gone, is read from the store.

    Args:
        file: The file.
        store: Where its pieces are.
        local: A file of this machine that may have the same bytes.

    Raises:
        NotFoundError: The store has lost a piece.
        IntegrityError: A piece has other bytes there.
        StorageError: The store does not answer.
    """
    with _opened(local) as descriptor:
        offset = 0
        for piece in file.pieces:
            data = None if descriptor is None else _read(descriptor, piece, offset)
            yield store.read(piece) if data is None else data
            offset += piece.size


@contextmanager
def _opened(path: Path | None) -> Iterator[int | None]:
    """Open a regular file; yield None if there is none, or it cannot be opened."""
    if path is None:
        yield None
        return
    try:
        # What is a pipe by now would otherwise wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _read(descriptor: int, piece: Piece, offset: int) -> bytes | None:
    """Return the bytes of a piece; None if the file has others, or cannot be read."""
    try:
        data = os.pread(descriptor, piece.size, offset)
    except OSError:
        return None
    return data if len(data) == piece.size and digest_of(data) == piece.digest else None
