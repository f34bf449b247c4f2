"""Ranges of objects that are read together: near ones by one request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """Return the ranges that fsspec's arguments stand for: lists or arrays, or a number for all.

    Raises:
        TypeError: The paths are no list.
        ValueError: The lists are not of one length.
    """
    if not isinstance(paths, list):
        raise TypeError(f"paths must be a list, not {type(paths).__name__}")
    starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
    ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
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
    last: _Span | None = None  # None where the last range cannot be joined with others
    for number in sorted(range(len(wanted)), key=lambda one: wanted[one][:2]):
        one = _bounded(wanted[number])
        if one and last and last.takes(one, max_gap):
            last = last._replace(end=max(last.end, one.end))
            spans[-1] = Range(*last)
        else:
            spans.append(wanted[number])
            last = one
        owners[number] = len(spans) - 1
    return spans, owners


class _Span(NamedTuple):
    """A range whose bounds both count from the object's start."""

    path: str
    start: int
    end: int

    def takes(self, other: _Span, max_gap: int) -> bool:
        """Tell whether a range that starts no earlier is near enough to be read with this one."""
        return (
            other.path == self.path
            and other.start - self.end <= max_gap
            and max(self.end, other.end) - self.start <= _MAX_MERGED_BYTES
        )


def _bounded(one: Range) -> _Span | None:
    if one.start < 0 or one.end is None or one.end < one.start:
        return None
    return _Span(one.path, one.start, one.end)


def cut(wanted: Range, span: Range, data: bytes) -> bytes:
    """Return a range that is wanted of the bytes of the one that was read for it."""
    if wanted == span:
        return data
    assert wanted.end is not None, "only ranges with both ends are joined"
    return data[wanted.start - span.start : wanted.end - span.start]
