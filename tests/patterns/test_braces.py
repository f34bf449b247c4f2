"""Braces: what a shell would make of them, and an error where it would make something else."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import UrlError
from aisio.patterns.braces import Braces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", ["plain"]),
        ("", [""]),
        ("t-{000..002}.tar", ["t-000.tar", "t-001.tar", "t-002.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{0..8..4}", ["0", "4", "8"]),
        ("{train,val}/", ["train/", "val/"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{a,b{0..1},}x", ["ax", "b0x", "b1x", "x"]),
        ("{a{0..1}}", ["{a0}", "{a1}"]),
        ("{uuid}", ["{uuid}"]),
        ("{}", ["{}"]),
        ("a{b", ["a{b"]),
        ("a}b,c", ["a}b,c"]),
        ("a[{]0..1}[,]", ["a[{]0..1}[,]"]),
        ("{a[,]b,c}", ["a[,]b", "c"]),
    ],
)
def test_a_text_stands_for_these(text, expected):
    """Ranges and alternatives multiply; everything else is text, as in a shell."""
    braces = Braces(text)
    assert list(braces) == expected
    assert braces.count == len(expected)
    assert list(pickle.loads(pickle.dumps(braces))) == expected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("t-{000..", "has no '}'"),
        ("t-{000..099.tar", "has no '}'"),
        ("t-{a,b.tar", "has no '}'"),
        ("t-{000...099}", "is no range"),
        ("t-{..9}", "is no range"),
        ("t-{a..e}", "is no range"),
        ("t-{-1..5}", "is no range"),
        ("t-{\u0660..\u0669}", "is no range"),
        ("t-{5..1}", "first <= last"),
        ("t-{0..5..0}", "step >= 1"),
        ("t-{000..1000}", "as many digits"),
        ("t-{0..099}", "as many digits"),
        ("{0..99999999999999999999}", "20 digits"),
        ("{0.." + "9" * 5000 + "}", "5,000 digits"),
        ("{0..999999999999999999}", "at most 10,000,000"),
        ("{0..9999}{0..9999}", "at most 10,000,000"),
        ("{0..999999999999999999}" * 50, r"10\^18 or more"),
        ("{0..1}" * 51, "more than 50 braces"),
        ("{" * 11, "within each other"),
    ],
)
def test_invalid_entries_are_refused_at_once(text, match):
    """The first text does not expand all of them."""
    with pytest.raises(UrlError, match=match):
        Braces(text)


def test_names_come_one_at_a_time():
    """Ten million of them are not kept in memory."""
    braces = Braces("t-{0..9999999}")
    assert braces.count == 10_000_000
    assert next(iter(braces)) == "t-0"


@given(st.text("{},.[]01a", max_size=30))
def test_any_text_is_expanded_or_refused(text):
    """Nothing else is raised, and the count is right."""
    try:
        braces = Braces(text)
    except UrlError:
        return
    if braces.count <= 1000:
        assert len(list(braces)) == braces.count
    if braces.is_plain:
        assert list(braces) == [text]
