"""The requests that read the items of a file: neighbours, and near ones, by one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aisio.checkpoint.dcp.stored_metadata import Item

__all__ = ["Run", "plan_runs", "slice_views"]


class Run(NamedTuple):
    """Items of one file that are read together.

    Attributes:
        path: The file.
        start: First byte that is read.
        stop: One past the last.
        items: The items, in their order in the file.
    """

    path: str
    start: int
    stop: int
    items: list[Item]


def plan_runs(items: Iterable[Item], *, gap_bytes: int, max_bytes: int) -> Iterator[Run]:
    """Plan what is read together.

    Args:
        items: What is wanted, in any order.
        gap_bytes: So many bytes between two items, at most, are read in vain rather than by another
            request.
        max_bytes: The most bytes of a run; a larger item is alone.

    Yields:
        Runs in the order of files and bytes.
    """
    run: Run | None = None
    for item in sorted(items, key=lambda item: (item.path, item.offset)):
        if (
            run is not None
            and run.path == item.path
            and 0 <= item.offset - run.stop <= gap_bytes
            and item.stop - run.start <= max_bytes
        ):
            run.items.append(item)
            run = run._replace(stop=item.stop)
            continue
        if run is not None:
            yield run
        run = Run(item.path, item.offset, item.stop, [item])
    if run is not None:
        yield run


def slice_views(views: list[memoryview], start: int, stop: int) -> list[memoryview]:
    """Return bytes [start, stop) of what consecutive views hold."""
    found, position = [], 0
    for view in views:
        part = view[max(0, start - position) : max(0, stop - position)]
        position += len(view)
        if part:
            found.append(part)
        if position >= stop:
            break
    return found
