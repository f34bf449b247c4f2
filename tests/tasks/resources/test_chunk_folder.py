"""The chunks of a file, while it is uploaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aisio.tasks.errors import ResourceError
from aisio.tasks.resources.chunk_folder import ChunkFolder
from aisio.tasks.resources.chunk_receipts import AmbiguousChunks


def data_of(folder: ChunkFolder, count: int | None = None) -> bytes:
    """Return the file."""
    return b"".join(path.read_bytes() for path in folder.file(count))


def test_threads_write_a_file(tmp_path) -> None:
    """Each chunk is kept, in any order."""
    folder = ChunkFolder(tmp_path / "chunks")
    parts = [bytes([number]) * 10 for number in range(50)] + [b""]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(folder.write, range(51), parts))
    assert data_of(folder) == b"".join(parts)
    folder.forget()
    folder.forget()
    with pytest.raises(ResourceError, match="chunk 0 was not uploaded"):
        folder.file()


def test_chunks_in_doubt_are_forgotten(tmp_path) -> None:
    """So the next upload is not in doubt, too."""
    folder = ChunkFolder(tmp_path / "chunks")
    for part in (b"old", b"new"):
        for number in range(3 if part == b"old" else 2):
            folder.write(number, part)
    with pytest.raises(AmbiguousChunks):
        folder.file()
    for number in range(2):
        folder.write(number, b"new")
    assert data_of(folder) == b"newnew"


def test_a_line_that_was_not_written_whole_is_no_chunk(tmp_path) -> None:
    """The process was killed in it; what comes then is on lines of its own."""
    folder = ChunkFolder(tmp_path / "chunks")
    folder.write(0, b"one")
    with (folder.path / "receipts").open("a") as file:
        file.write("\n1 3 0a1b")
    folder.write(1, b"two")
    assert data_of(folder) == b"onetwo"


def test_a_chunk_that_is_lost_is_an_error(tmp_path) -> None:
    """After a power cut, its line may be there alone."""
    folder = ChunkFolder(tmp_path / "chunks")
    folder.write(0, b"one")
    for path in folder.path.glob("0-*"):
        path.write_bytes(b"")
    with pytest.raises(ResourceError, match="chunk 0 is damaged"):
        folder.file()
