"""Ranges of objects that are read together: near ones by one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["MAX_GAP_BYTES", "Range", "cut", "merge", "parse_ranges"]

MAX_GAP_BYTES = 128 * 1024
"""To read so many bytes costs about as much as a request."""

_MAX_MERGED_BYTES = 32 * 1024 * 1024


class Range(NamedTuple):
    """Bytes [start, end) of an object, as of a slice.

    Attributes:
        path: The object.
        start: The first byte; from the object's end if below 0.
        end: One past the last; None for the object's end, from that if below 0.
    """

    path: str
    start: int
    end: int | None


def parse_ranges(paths: Any, starts: Any, ends: Any) -> list[Range]:
    """Return the ranges that fsspec's arguments stand for: lists, or a number for all paths.

    Raises:
        TypeError: The paths are no list.
        ValueError: The lists are not of one length.
    """
    if not isinstance(paths, list):
        raise TypeError(f"paths must be a list, not {type(paths).__name__}")
    starts = list(starts) if isinstance(starts, Sequence) else [starts] * len(paths)
    ends = list(ends) if isinstance(ends, Sequence) else [ends] * len(paths)
    if not len(paths) == len(starts) == len(ends):
        raise ValueError(f"{len(paths)} paths, {len(starts)} starts and {len(ends)} ends")
    return [
        Range(path, start or 0, end) for path, start, end in zip(paths, starts, ends, strict=True)
    ]


def merge(wanted: Sequence[Range], max_gap: int) -> tuple[list[Range], list[int]]:
    """Join ranges of one object that are near.

    Args:
        wanted: The ranges, in any order; those that count from an object's end are left alone.
        max_gap: How many bytes may lie between two that are joined.

    Returns:
        The ranges to read, and for each that is wanted the number of the one that has it.
    """
    spans: list[Range] = []
    owners = [0] * len(wanted)
    stop = 0  # of the last span, if it can grow
    for number in sorted(range(len(wanted)), key=lambda one: wanted[one][:2]):
        path, start, end = wanted[number]
        is_plain = start >= 0 and end is not None and end >= start
        last = spans[-1] if spans else None
        if (
            is_plain
            and last is not None
            and last.path == path
            and last.end == stop
            and last.start >= 0
            and start - stop <= max_gap
            and max(stop, end or 0) - last.start <= _MAX_MERGED_BYTES
        ):
            stop = max(stop, end or 0)
            spans[-1] = last._replace(end=stop)
        else:
            spans.append(wanted[number])
            stop = end if is_plain and end is not None else -1
        owners[number] = len(spans) - 1
    return spans, owners


def cut(wanted: Range, span: Range, data: bytes) -> bytes:
    """Return a range that is wanted of the bytes of the one that was read for it."""
    if wanted == span:
        return data
    assert wanted.end is not None, "only ranges with both ends are joined"
    return data[wanted.start - span.start : wanted.end - span.start]
