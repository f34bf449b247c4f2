"""ChunkFolder: the chunks of a file while a client uploads it.

    <folder>/<number>-<digest>    the bytes of a chunk
    <folder>/receipts             a line for each chunk that came: number, size, digest

A chunk is confirmed when its line is written. A process that is killed before has confirmed
nothing, so the client sends the chunk again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from aisio.atomic_write import atomic_write
from aisio.tasks.errors import ResourceError
from aisio.tasks.resources.chunk_receipts import AmbiguousChunks, Receipt, find_file

__all__ = ["ChunkFolder"]

_RECEIPTS = "receipts"
_DIGEST_BYTES = 16


class ChunkFolder:
    """The chunks of one resource; any number of threads and processes may write.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, number: int, data: bytes) -> None:
        """Keep a chunk.

        Raises:
            OSError: It cannot be written.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
        with atomic_write(self.path / f"{number}-{digest}") as file:
            file.write(data)
        # A line begins with its own line feed: a process may have been killed inside the last one.
        line = f"\n{number} {len(data)} {digest}\n".encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path / _RECEIPTS, flags, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def file(self, count: int | None = None) -> list[Path]:
        """Return the chunks of the file that was uploaded last, in their order.

        Args:
            count: How many it has, if the client said so.

        Raises:
            AmbiguousChunks: They may be the chunks of several files; all are forgotten.
            ResourceError: A chunk is missing, or they do not fit together.
        """
        try:
            chunks = find_file(self._receipts(), count)
        except AmbiguousChunks:
            self.forget()
            raise
        paths = [self.path / f"{chunk.number}-{chunk.digest}" for chunk in chunks]
        for chunk, path in zip(chunks, paths, strict=True):
            if not path.is_file() or path.stat().st_size != chunk.size:
                raise ResourceError(f"chunk {chunk.number} is damaged: upload it again")
        return paths

    def _receipts(self) -> list[Receipt]:
        try:
            text = (self.path / _RECEIPTS).read_text("ascii", errors="replace")
        except FileNotFoundError:
            return []
        lines = (line.split(" ") for line in text.splitlines())
        return [
            Receipt(int(fields[0]), int(fields[1]), fields[2])
            for fields in lines
            if len(fields) == 3 and len(fields[2]) == 2 * _DIGEST_BYTES
        ]

    def forget(self) -> None:
        """Remove all chunks; none, if there are none."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path)
