"""Templates of object names: one text for many names.

    train-{000000..000099}.tar    bash: first to last, both included, as wide as the narrower one
    a-{0..8..2}-{00..09}.tar      with a step; several ranges multiply, the last one runs fastest
    train-@000099.tar             at: 0 to the number, as wide as it is written
    train-%06d.tar                fmt: 0 onwards; the caller passes the count

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

MAX_NAMES = 10_000_000
MAX_RANGES = 50
MAX_DIGITS = 18
"""Of a number: AIStore uses 63 bits, which numbers of 19 digits may exceed."""

_BASH = re.compile(r"\{([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?\}")
_AT = re.compile(r"@([0-9]+)")
_FMT = re.compile(r"%(?:0([0-9]+))?d")


class Numbers(NamedTuple):
    """The numbers of a range.

    Attributes:
        values: The numbers.
        width: Number of digits to which they are padded with zeros.
    """

    values: range
    width: int

    def texts(self) -> Iterator[str]:
        """Yield the numbers as they are written in names."""
        return (f"{value:0{self.width}d}" for value in self.values)


def parse_numbers(first: str, last: str, step: str | None, text: str) -> Numbers:
    """Parse a range, both ends included, as wide as the narrower one.

    Args:
        first: The digits of the first number.
        last: The digits of the last one, which a step may pass over.
        step: None for 1.
        text: The template, for errors.

    Raises:
        UrlError: first > last, step < 1, or a number has more than 18 digits.
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
    if len(digits) > MAX_DIGITS:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise UrlError(
            f"template {shown!r}: a number has {len(digits):,} digits: at most {MAX_DIGITS} are "
            "allowed"
        )
    return int(digits)


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Attributes:
        text: The template.
        gaps: The fixed text before, between and behind the ranges.
        ranges: The numbers of each range.
    """

    text: str
    gaps: tuple[str, ...]
    ranges: tuple[Numbers, ...]

    def names(self) -> Iterator[str]:
        """Yield the names in order."""
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
    """Parse a template of any of the three styles.

    Args:
        text: The template.
        count: Number of names of a fmt template; those of the other styles have it.

    Raises:
        UrlError: There is no range, a range is not valid, or there are too many names.
    """
    is_fmt = "{" not in text and not _AT.search(text)
    if count is not None and not (is_fmt and is_whole(count, 1)):
        raise UrlError(
            f"template {text!r}: count={count!r} is for templates with %d, and at least 1"
        )
    template = _fmt(text, count) if is_fmt else _bash(text) if "{" in text else _at(text)
    if len(template.ranges) > MAX_RANGES:
        raise UrlError(f"template {text[:80]!r}... has more than {MAX_RANGES} ranges")
    if not template.ranges:
        raise UrlError(
            f"template {text!r} has no range, as in train-{{000..099}}.tar; "
            f"for all names that begin with it, list it as a prefix"
        )
    check_count(template.count, f"template {text!r} makes")
    return template


def check_count(count: int, what: str) -> None:
    """Refuse more names than AIStore makes of one template; the error's text begins with `what`.

    Raises:
        UrlError: There are more.
    """
    if count > MAX_NAMES:
        shown = f"{count:,}" if count < 10**MAX_DIGITS else f"10^{MAX_DIGITS} or more"
        raise UrlError(f"{what} {shown} names: at most {MAX_NAMES:,} are allowed")


def _bash(text: str) -> Template:
    gaps, matches = _split(_BASH, text)
    if any("{" in gap or "}" in gap for gap in gaps):
        raise UrlError(
            f"template {text!r}: a range in braces is {{first..last}} or {{first..last..step}}, "
            f"in digits"
        )
    ranges = tuple(parse_numbers(match[1], match[2], match[3], text) for match in matches)
    return Template(text, gaps, ranges)


def _at(text: str) -> Template:
    gaps, matches = _split(_AT, text)
    ranges = (Numbers(range(_number(match[1], text) + 1), len(match[1])) for match in matches)
    return Template(text, gaps, tuple(ranges))


def _fmt(text: str, count: int | None) -> Template:
    gaps, matches = _split(_FMT, text)
    if len(matches) > 1 or (matches and text.count("%") > 1):
        raise UrlError(f"template {text!r}: the fmt style has one '%' only")
    if matches and count is None:
        raise UrlError(f"template {text!r} has no end: say how many names it makes with count=")
    check_count(count or 0, f"template {text!r} makes")
    if any(len(match[1] or "") > 2 for match in matches):
        raise UrlError(f"template {text!r}: a number is at most 99 digits wide")
    ranges = (Numbers(range(count or 0), int(match[1] or 0)) for match in matches)
    return Template(text, gaps, tuple(ranges))


def _split(pattern: re.Pattern[str], text: str) -> tuple[tuple[str, ...], list[re.Match[str]]]:
    matches = list(pattern.finditer(text))
    starts = [0, *(match.end() for match in matches)]
    stops = [*(match.start() for match in matches), len(text)]
    return tuple(text[a:b] for a, b in zip(starts, stops, strict=True)), matches
