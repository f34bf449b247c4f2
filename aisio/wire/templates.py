"""Templates of object names: one line that stands for many. Pure.

    train-{000000..000099}.tar    bash: first to last, both included, as wide as the narrower one
    a-{0..8..2}-{00..09}.tar      with a step; several ranges multiply, the last one runs fastest
    train-@000099.tar             at: 0 to the number, as wide as it is written
    train-%06d.tar                fmt: 0 onwards; how many is up to the caller

Source: AIStore's template rules, release 5.0: numbers are not negative, first <= last, step > 0,
and at most 10,000,000 names come of one template. The three styles do not mix, in that order of
precedence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from aisio.errors import UrlError

MOST_NAMES = 10_000_000

_BASH = re.compile(r"\{(\d+)\.\.(\d+)(?:\.\.(\d+))?\}")
_AT = re.compile(r"@(\d+)")
_FMT = re.compile(r"%(?:0(\d+))?d")


class _Numbers(NamedTuple):
    values: range
    width: int


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Attributes:
        text: As it was given.
        gaps: The fixed text before, between and behind the ranges.
        ranges: The numbers of each range.
    """

    text: str
    gaps: tuple[str, ...]
    ranges: tuple[_Numbers, ...]

    def names(self) -> Iterator[str]:
        """Make the names, one at a time, in order."""
        return self._names_from(0, self.gaps[0])

    def _names_from(self, level: int, head: str) -> Iterator[str]:
        values, width = self.ranges[level]
        gap = self.gaps[level + 1]
        last = level + 1 == len(self.ranges)
        for value in values:
            name = f"{head}{value:0{width}d}{gap}"
            if last:
                yield name
            else:
                yield from self._names_from(level + 1, name)

    @property
    def count(self) -> int:
        """How many names it makes."""
        return prod(len(values) for values, _ in self.ranges)


def parse_template(text: str, *, count: int | None = None) -> Template:
    """Read a template of any of the three styles.

    Args:
        text: The template.
        count: How many names a fmt template makes; the other styles say it themselves.

    Raises:
        UrlError: No range in it, a range that cannot be meant, or too many names.
    """
    template = _bash(text) if "{" in text else _at(text) if _AT.search(text) else _fmt(text, count)
    if not template.ranges:
        raise UrlError(
            f"template {text!r} has no range, as in train-{{000..099}}.tar; "
            f"for all names that begin with it, list it as a prefix"
        )
    if template.count > MOST_NAMES:
        raise UrlError(
            f"template {text!r} makes {template.count:,} names: at most {MOST_NAMES:,} are allowed"
        )
    return template


def _bash(text: str) -> Template:
    gaps, found = _split(_BASH, text)
    if any("{" in gap or "}" in gap for gap in gaps):
        raise UrlError(
            f"template {text!r}: a range in braces is {{first..last}} or {{first..last..step}}, "
            f"in digits"
        )
    ranges = []
    for match in found:
        first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if first > last or step < 1:
            raise UrlError(f"template {text!r}: {match[0]} needs first <= last and step >= 1")
        ranges.append(_Numbers(range(first, last + 1, step), min(len(match[1]), len(match[2]))))
    return Template(text, gaps, tuple(ranges))


def _at(text: str) -> Template:
    gaps, found = _split(_AT, text)
    return Template(text, gaps, tuple(_Numbers(range(int(m[1]) + 1), len(m[1])) for m in found))


def _fmt(text: str, count: int | None) -> Template:
    gaps, found = _split(_FMT, text)
    if len(found) > 1 or (found and text.count("%") > 1):
        raise UrlError(f"template {text!r}: the fmt style has one '%' only")
    if found and (count is None or count < 1):
        raise UrlError(f"template {text!r} has no end: say how many names it makes with count=")
    return Template(text, gaps, tuple(_Numbers(range(count or 0), int(m[1] or 0)) for m in found))


def _split(pattern: re.Pattern[str], text: str) -> tuple[tuple[str, ...], list[re.Match[str]]]:
    found = list(pattern.finditer(text))
    starts = [0, *(match.end() for match in found)]
    stops = [*(match.start() for match in found), len(text)]
    return tuple(text[a:b] for a, b in zip(starts, stops, strict=True)), found
