"""Parsers of manifests that other programs write."""

from __future__ import annotations

import io

import pytest

import aisio
from aisio import UrlError
from aisio.sources.manifest_parsers import imagenet_manifest_parser


def parse(data: bytes) -> list[tuple[str, str]]:
    """Return what the parser yields."""
    return list(imagenet_manifest_parser(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a.jpg\t7\nb.jpg\t8\n", [("a.jpg", "7"), ("b.jpg", "8")]),
        (b"a.jpg\nb.jpg", [("a.jpg", ""), ("b.jpg", "")]),
        (b"a.jpg\t7\tmore\tcolumns", [("a.jpg", "7")]),
        (b"\n\na.jpg\t7\n \t \n\r\nb.jpg\t8\n\n", [("a.jpg", "7"), ("b.jpg", "8")]),
        (b"a.jpg\t7\r\nb.jpg\r\n", [("a.jpg", "7"), ("b.jpg", "")]),
        (b"\xef\xbb\xbfa.jpg\t7\n", [("a.jpg", "7")]),
        (b" a b.jpg \t two words \n", [("a b.jpg", "two words")]),
        ("ü/é.jpg\tgrün\n".encode(), [("ü/é.jpg", "grün")]),
        (b"a.jpg\t\n", [("a.jpg", "")]),
        (b"", []),
    ],
)
def test_oss_11_one_column_or_more(data: bytes, expected: list[tuple[str, str]]) -> None:
    """Blank lines are skipped; lines end in either way."""
    assert parse(data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\t1\n\t7\n", r"line 2: there is no key before the tab: '\\t7"),
        (b"a\t1\n\xff\xfe\t7\n", "line 2: not UTF-8"),
    ],
)
def test_oss_11_a_line_that_cannot_be_meant_is_refused(data: bytes, message: str) -> None:
    """By its number."""
    with pytest.raises(UrlError, match=message):
        parse(data)


def test_it_is_at_the_front_door() -> None:
    """A public name."""
    assert aisio.imagenet_manifest_parser is imagenet_manifest_parser
