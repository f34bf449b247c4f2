"""Braces in the URLs of sources, as a shell expands them: train-{000..099}.tar, {train,val}/.

    {000..099}     numbers, both ends included; {0..8..2} has a step
    {train,val}    alternatives, which may hold braces themselves
    {name}         literal text, as it holds neither a range nor a comma
    [{] [}] [,]    not expanded here; `aisio.patterns.selections` makes literal characters of them

Several braces multiply; the last ones run fastest. An invalid range is an error, where a shell
would take it for text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import NamedTuple, TypeAlias

from aisio.errors import UrlError
from aisio.wire.templates import MAX_RANGES, Numbers, check_count, parse_numbers

__all__ = ["Braces"]

_TOKEN = re.compile(r"\[[{},]\]|[{},]|[^\[{},]+|\[")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?")
_MAX_DEPTH = 10


class _Alternatives(NamedTuple):
    texts: tuple[tuple[_Piece, ...], ...]


_Piece: TypeAlias = "str | Numbers | _Alternatives"


class Braces:
    """A text with braces, and its expansions.

    Args:
        text: With or without braces.

    Raises:
        UrlError: A brace is not closed, a range is not valid, or there are more than 10,000,000
            expansions.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = _Parser(text).parse()
        self.count = _count(self._pieces)
        check_count(self.count, f"{text!r} stands for")

    @property
    def is_plain(self) -> bool:
        """Whether there are no braces to expand."""
        return all(isinstance(piece, str) for piece in self._pieces)

    @property
    def start(self) -> str:
        """The text before the first braces, with which all expansions begin."""
        first = self._pieces[0] if self._pieces else ""
        return first if isinstance(first, str) else ""

    def __iter__(self) -> Iterator[str]:
        return _texts(self._pieces)


class _Parser:
    """A recursive-descent parser of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._position = self._opened = 0

    def parse(self) -> tuple[_Piece, ...]:
        """Return the pieces of the whole text; commas and "}" outside braces are text."""
        pieces: list[_Piece] = []
        while self._position < len(self._tokens):
            pieces.extend(self._sequence(depth=0))
            pieces.extend(self._tokens[self._position : self._position + 1])
            self._position += 1
        return _joined(pieces)

    def _sequence(self, depth: int) -> list[_Piece]:
        """Parse up to a comma or closing brace, or to the end."""
        pieces: list[_Piece] = []
        while self._position < len(self._tokens):
            piece = self._tokens[self._position]
            if piece in ",}":
                break
            self._position += 1
            pieces.extend(self._braces(depth + 1) if piece == "{" else [piece])
        return pieces

    def _braces(self, depth: int) -> list[_Piece]:
        """Parse what follows an opening brace, up to and with its closing brace."""
        self._opened += 1
        if depth > _MAX_DEPTH or self._opened > MAX_RANGES:
            raise UrlError(
                f"{self._text!r}: more than {MAX_RANGES} braces, or {_MAX_DEPTH} within each other"
            )
        start = self._position
        texts = [self._sequence(depth)]
        while self._next_is(","):
            self._position += 1
            texts.append(self._sequence(depth))
        if not self._next_is("}"):
            return self._unclosed(start, texts)
        self._position += 1
        if len(texts) > 1:
            return [_Alternatives(tuple(map(_joined, texts)))]
        inside = "".join(self._tokens[start : self._position - 1])
        if ".." in inside and all(isinstance(piece, str) for piece in texts[0]):
            return [self._range(inside)]
        return ["{", *texts[0], "}"]

    def _next_is(self, mark: str) -> bool:
        return self._tokens[self._position : self._position + 1] == [mark]

    def _unclosed(self, start: int, texts: list[list[_Piece]]) -> list[_Piece]:
        rest = "".join(self._tokens[start:])
        if len(texts) > 1 or ".." in rest:
            raise UrlError(
                f"{self._text!r}: '{{' has no '}}': expected {{000..099}} or {{train,val}}; "
                "where it belongs to a name, write [{]"
            )
        return ["{", *texts[0]]

    def _range(self, inside: str) -> Numbers:
        match = _RANGE.fullmatch(inside)
        if match is None:
            raise UrlError(
                f"{self._text!r}: {{{inside}}} is no range: expected {{first..last}} or "
                "{first..last..step}, in digits; where it belongs to a name, write [{]"
            )
        first, last = match[1], match[2]
        is_padded = any(len(text) > 1 and text[0] == "0" for text in (first, last))
        if is_padded and len(first) != len(last):
            raise UrlError(
                f"{self._text!r}: write both ends of {{{inside}}} with as many digits: a shell "
                "pads to the wider one, AIStore to the narrower one"
            )
        return parse_numbers(first, last, match[3], self._text)


def _joined(pieces: list[_Piece]) -> tuple[_Piece, ...]:
    """Join adjacent pieces of fixed text."""
    joined: list[_Piece] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def _count(pieces: tuple[_Piece, ...]) -> int:
    return prod(map(_count_of, pieces))


def _count_of(piece: _Piece) -> int:
    if isinstance(piece, str):
        return 1
    if isinstance(piece, Numbers):
        return len(piece.values)
    return sum(map(_count, piece.texts))


def _texts(pieces: tuple[_Piece, ...]) -> Iterator[str]:
    if not pieces:
        yield ""
        return
    for head in _texts_of(pieces[0]):
        for rest in _texts(pieces[1:]):
            yield head + rest


def _texts_of(piece: _Piece) -> Iterator[str]:
    if isinstance(piece, str):
        return iter((piece,))
    if isinstance(piece, Numbers):
        return piece.texts()
    return (text for texts in piece.texts for text in _texts(texts))
