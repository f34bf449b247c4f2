"""Which chunks make the file that a client has uploaded. Pure.

Clients of Anylearn send the chunks of a file under its resource, in any order and some of them
twice, and then say that they have finished. They do not say how many there are. If a client was
killed, the next one sends a file to the same resource, and chunks of the first one are still there.
So the server keeps the list of what it has received, in that order: the file of the client that
has finished is made of the last receipts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from aisio.tasks.errors import ResourceError

__all__ = ["AmbiguousChunks", "Receipt", "find_file"]


class AmbiguousChunks(ResourceError):
    """The chunks may be those of several files."""


@dataclass(frozen=True)
class Receipt:
    """A chunk as it came.

    Attributes:
        number: Which chunk of the file, from 0 on.
        size: Its size in bytes; 0 behind a file of whole chunks, as anylearn 0.15.5 sends it.
        digest: Of its bytes.
    """

    number: int
    size: int
    digest: str


def find_file(receipts: Sequence[Receipt], count: int | None = None) -> list[Receipt]:
    """Return the chunks of the file that was uploaded last, in their order, none of them empty.

    Args:
        receipts: What has come, in that order.
        count: How many chunks the file has, if the client said so.

    Raises:
        AmbiguousChunks: They may be the chunks of several files, as some came twice.
        ResourceError: A chunk is missing, there are no bytes, or sizes do not fit together.
    """
    # A client that got no answer sends a chunk again at once.
    receipts = [receipt for receipt, _ in groupby(receipts)]
    chunks = sorted(receipts, key=lambda receipt: receipt.number)
    if len({receipt.number for receipt in receipts}) == len(receipts) and (
        chunks == receipts or _has_end(chunks) or count is not None
    ):
        _check(chunks, count)
        return _filled(chunks)
    files = {
        tuple(filled): filled
        for chunks in _endings(receipts)
        if (filled := _filled(chunks)) and count in (None, len(filled)) and not _problem(chunks)
    }
    if len(files) > 1:
        raise AmbiguousChunks(
            f"chunks of two uploads are there, and the file may have "
            f"{' or '.join(str(len(one)) for one in files)} chunks: upload it again, in order, or "
            f"send 'chunks' with upload_finish"
        )
    if not files:
        latest = {receipt.number: receipt for receipt in receipts}
        _check([latest[number] for number in sorted(latest)], count)
        raise ResourceError("the chunks are of two uploads that do not fit: upload the file again")
    return next(iter(files.values()))


def _endings(receipts: Sequence[Receipt]) -> Iterator[list[Receipt]]:
    """Yield the chunks of each ending of the list that has no gaps, and no number with two data."""
    chunks: dict[int, Receipt] = {}
    for receipt in reversed(receipts):
        if chunks.setdefault(receipt.number, receipt) != receipt:
            return
        if max(chunks) == len(chunks) - 1:
            yield [chunks[number] for number in range(len(chunks))]


def _has_end(chunks: list[Receipt]) -> bool:
    """Tell whether the last chunk is shorter than the others, so that none can be behind it."""
    return bool(chunks) and chunks[-1].size < chunks[0].size


def _filled(chunks: list[Receipt]) -> list[Receipt]:
    return chunks[:-1] if chunks and not chunks[-1].size else chunks


def _check(chunks: list[Receipt], count: int | None) -> None:
    """Check that chunks make one file.

    Raises:
        ResourceError: They do not.
    """
    numbers = [chunk.number for chunk in chunks]
    expected = range(len(numbers) if count is None else max(count, len(_filled(chunks))))
    missing = next((number for number in expected if number not in numbers), None)
    if missing is not None or not chunks:
        raise ResourceError(f"chunk {missing or 0} was not uploaded")
    if problem := _problem(chunks):
        raise ResourceError(problem)
    filled = _filled(chunks)
    if count is not None and len(filled) != count:
        raise ResourceError(f"{len(filled)} chunks have come, not {count}: upload the file again")
    if not filled:
        raise ResourceError("the file is empty: there is nothing to store")


def _problem(chunks: list[Receipt]) -> str:
    """Return why sizes do not fit: all chunks but the last one have one size."""
    first = chunks[0].size
    for chunk in chunks[1:]:
        if chunk.size > first or (chunk is not chunks[-1] and chunk.size < first):
            return (
                f"chunk {chunk.number} has {chunk.size:,} bytes, chunk 0 has {first:,}: they are "
                f"of two uploads; upload the file again"
            )
    return ""
