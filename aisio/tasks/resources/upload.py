"""Uploading files: each piece is read once, hashed, and sent if the store does not have it.

    files -> pieces -> threads: read, hash, ask the store, send -> Tree

Nothing is registered here. An upload that was killed goes on where it stopped: what the store has
is not sent again, and what was read before is not read again, as the cache knows its pieces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from aisio.errors import IntegrityError, StorageError
from aisio.records import Concurrency
from aisio.tasks.resources.commit import PieceSender
from aisio.tasks.resources.scan import ScannedFile
from aisio.tasks.resources.stat_cache import CachedFile, StatCache, stat_key
from aisio.tasks.resources.tree import PIECE_BYTES, Piece, Tree, TreeFile, digest_of
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order

__all__ = ["OnProgress", "known_tree", "upload_files"]

OnProgress = Callable[[int, int], object]
"""Called with the bytes that are done, and those of all files."""

MAX_BYTES_IN_FLIGHT = 4 * PIECE_BYTES
"""So many bytes of pieces are in memory at a time."""

_SAVE_AFTER_FILES = 256
_SAVE_AFTER_BYTES = 64 * PIECE_BYTES


def known_tree(files: Sequence[ScannedFile], kind: str = "folder") -> Tree | None:
    """Return the tree of files that have not changed since they were read; None if any has."""
    entries = [file.tree_file(file.known) for file in files if file.known is not None]
    return Tree(kind, tuple(entries)) if len(entries) == len(files) else None


def upload_files(
    files: Sequence[ScannedFile],
    sender: PieceSender,
    cache: StatCache,
    *,
    kind: str = "folder",
    on_progress: OnProgress | None = None,
) -> Tree:
    """Upload the pieces of files that the store does not have.

    Args:
        files: The files.
        sender: Sends them.
        cache: Remembers their pieces.
        kind: Of the tree.
        on_progress: Reports progress.

    Returns:
        The tree of the files; the caller writes it to the store.

    Raises:
        IntegrityError: A file has changed while it was read, or the store received other bytes.
        StorageError: A piece cannot be read or stored; the first failure ends the upload.
    """
    started_ns = cache.now_ns()
    total = sum(file.stat.st_size for file in files)
    done, saved_at, entries = 0, 0, list[TreeFile]()
    sent = 0

    def on_piece(size: int) -> None:
        nonlocal sent
        sent += size
        if on_progress:
            on_progress(sent, total)

    fresh: list[tuple[str, os.stat_result, CachedFile]] = []
    try:
        for file, pieces in _in_order(files, sender, on_piece):
            cached = (pieces, file.known[1] if file.known else None)
            entries.append(file.tree_file(cached))
            if file.known is None:
                fresh.append((str(file.path), file.stat, cached))
            done += file.stat.st_size
            if len(fresh) >= _SAVE_AFTER_FILES or done - saved_at >= _SAVE_AFTER_BYTES:
                cache.save(fresh, read_since_ns=started_ns)
                fresh, saved_at = [], done
    finally:
        cache.save(fresh, read_since_ns=started_ns)
    return Tree(kind, tuple(entries))


def _in_order(
    files: Sequence[ScannedFile], sender: PieceSender, on_piece: Callable[[int], None]
) -> Iterator[tuple[ScannedFile, tuple[Piece, ...]]]:
    """Yield each file with its pieces, in order; several pieces are in flight."""
    jobs = ((file, number) for file in files for number in range(_count(file)))
    sent = fetch_in_order(
        jobs,
        lambda job: _send(sender, *job),
        limit=AdaptiveLimit(Concurrency(most_bytes=MAX_BYTES_IN_FLIGHT)),
        size_of=lambda job: _size(*job),
        result_bytes=lambda piece: piece.size,
    )
    try:
        for file in files:
            pieces = tuple(islice(sent, _count(file)))
            for piece in pieces:
                on_piece(piece.size)
            yield file, pieces
    finally:
        sent.close()  # type: ignore[attr-defined]


def _count(file: ScannedFile) -> int:
    return -(-file.stat.st_size // PIECE_BYTES)


def _size(file: ScannedFile, number: int) -> int:
    return min(PIECE_BYTES, file.stat.st_size - number * PIECE_BYTES)


def _send(sender: PieceSender, file: ScannedFile, number: int) -> Piece:
    """Store piece `number` of a file, if it is not there, and return it."""
    if file.known is None:
        data = _read(file, number)
        return sender.send(Piece(digest_of(data), len(data)), lambda: data)
    piece = file.known[0][number]

    def read() -> bytes:
        data = _read(file, number)
        if digest_of(data) != piece.digest:
            raise _changed(file)
        return data

    return sender.send(piece, read)


def _read(file: ScannedFile, number: int) -> bytes:
    """Read a piece of a file that is in the state in which it was scanned.

    Raises:
        IntegrityError: It is in another state.
        StorageError: It cannot be read.
    """
    offset, size = number * PIECE_BYTES, _size(file, number)
    try:
        with file.path.open("rb", buffering=0) as opened:
            data = _read_at(opened.fileno(), offset, size)
            stat = os.fstat(opened.fileno())
    except OSError as error:
        raise StorageError(f"read {file.path}: {error.strerror}") from error
    if len(data) != size or stat_key(stat) != stat_key(file.stat):
        raise _changed(file)
    return data


def _read_at(descriptor: int, offset: int, size: int) -> bytes:
    parts = []
    while size and (data := os.pread(descriptor, size, offset)):
        parts.append(data)
        size, offset = size - len(data), offset + len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _changed(file: ScannedFile) -> IntegrityError:
    return IntegrityError(
        f"{file.path} changed while it was uploaded: let the program that writes it finish, then "
        f"run this again"
    )
