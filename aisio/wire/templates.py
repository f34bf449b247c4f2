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
from aisio.limits import is_whole

MOST_NAMES = 10_000_000
MOST_RANGES = 50
MOST_DIGITS = 18
"""Of a number: more do not fit 63 bits, which is what AIStore has for it."""

_BASH = re.compile(r"\{([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?\}")
_AT = re.compile(r"@([0-9]+)")
_FMT = re.compile(r"%(?:0([0-9]+))?d")


class Numbers(NamedTuple):
    """The numbers of a range.

    Attributes:
        values: The numbers.
        width: Digits that they are padded to with zeros.
    """

    values: range
    width: int

    def texts(self) -> Iterator[str]:
        """Yield the numbers as they are written in names."""
        return (f"{value:0{self.width}d}" for value in self.values)


def parse_numbers(first: str, last: str, step: str | None, text: str) -> Numbers:
    """Read a range, both ends included, as wide as the narrower one.

    Args:
        first: In digits, as the others.
        last: The end, which need not be met where there is a step.
        step: None for 1.
        text: The template, for the text of errors.

    Raises:
        UrlError: first > last, no step, or a number of more than 18 digits.
    """
    begin, end, by = (_number(digits, text) for digits in (first, last, step or "1"))
    if begin > end or by < 1:
        raise UrlError(
            f"template {text!r}: {_braced(first, last, step)} needs first <= last and step >= 1"
        )
    return Numbers(range(begin, end + 1, by), min(len(first), len(last)))


def _braced(first: str, last: str, step: str | None) -> str:
    return "{" + "..".join(filter(None, (first, last, step))) + "}"


def _number(digits: str, text: str) -> int:
    if len(digits) > MOST_DIGITS:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise UrlError(
            f"template {shown!r}: a number has {len(digits):,} digits: at most {MOST_DIGITS} are "
            "allowed"
        )
    return int(digits)


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
    ranges: tuple[Numbers, ...]

    def names(self) -> Iterator[str]:
        """Make the names, one at a time, in order."""
        return self._names_from(0, self.gaps[0])

    def _names_from(self, level: int, head: str) -> Iterator[str]:
        gap = self.gaps[level + 1]
        last = level + 1 == len(self.ranges)
        for number in self.ranges[level].texts():
            name = f"{head}{number}{gap}"
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
    is_fmt = "{" not in text and not _AT.search(text)
    if count is not None and not (is_fmt and is_whole(count, 1)):
        raise UrlError(
            f"template {text!r}: count={count!r} is for templates with %d, and at least 1"
        )
    template = _fmt(text, count) if is_fmt else _bash(text) if "{" in text else _at(text)
    if len(template.ranges) > MOST_RANGES:
        raise UrlError(f"template {text[:80]!r}... has more than {MOST_RANGES} ranges")
    if not template.ranges:
        raise UrlError(
            f"template {text!r} has no range, as in train-{{000..099}}.tar; "
            f"for all names that begin with it, list it as a prefix"
        )
    check_count(template.count, f"template {text!r} makes")
    return template


def check_count(count: int, what: str) -> None:
    """Refuse more names than AIStore makes of one template; `what` begins the text of the error.

    Raises:
        UrlError: There are more.
    """
    if count > MOST_NAMES:
        shown = f"{count:,}" if count < 10**MOST_DIGITS else f"10^{MOST_DIGITS} or more"
        raise UrlError(f"{what} {shown} names: at most {MOST_NAMES:,} are allowed")


def _bash(text: str) -> Template:
    gaps, found = _split(_BASH, text)
    if any("{" in gap or "}" in gap for gap in gaps):
        raise UrlError(
            f"template {text!r}: a range in braces is {{first..last}} or {{first..last..step}}, "
            f"in digits"
        )
    ranges = tuple(parse_numbers(match[1], match[2], match[3], text) for match in found)
    return Template(text, gaps, ranges)


def _at(text: str) -> Template:
    gaps, found = _split(_AT, text)
    ranges = (Numbers(range(_number(match[1], text) + 1), len(match[1])) for match in found)
    return Template(text, gaps, tuple(ranges))


def _fmt(text: str, count: int | None) -> Template:
    gaps, found = _split(_FMT, text)
    if len(found) > 1 or (found and text.count("%") > 1):
        raise UrlError(f"template {text!r}: the fmt style has one '%' only")
    if found and count is None:
        raise UrlError(f"template {text!r} has no end: say how many names it makes with count=")
    check_count(count or 0, f"template {text!r} makes")
    if any(len(match[1] or "") > 2 for match in found):
        raise UrlError(f"template {text!r}: a number is at most 99 digits wide")
    ranges = (Numbers(range(count or 0), int(match[1] or 0)) for match in found)
    return Template(text, gaps, tuple(ranges))


def _split(pattern: re.Pattern[str], text: str) -> tuple[tuple[str, ...], list[re.Match[str]]]:
    found = list(pattern.finditer(text))
    starts = [0, *(match.end() for match in found)]
    stops = [*(match.start() for match in found), len(text)]
    return tuple(text[a:b] for a, b in zip(starts, stops, strict=True)), found
