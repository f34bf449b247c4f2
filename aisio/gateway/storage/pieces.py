"""Pieces of a body, put together to a size that is worth a write."""

from __future__ import annotations

from collections.abc import Generator, Iterable

PIECE_BYTES = 256 << 10


def gathered(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    """Yield the same bytes in pieces of about PIECE_BYTES and more."""
    held, size = list[bytes](), 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= PIECE_BYTES:
                yield b"".join(held)
                held, size = [], 0
        if size:
            yield b"".join(held)
    finally:
        close(pieces)


def close(items: Iterable[object]) -> None:
    """End a generator now, with the files that it has open, and not when it is collected."""
    if isinstance(items, Generator):
        items.close()
