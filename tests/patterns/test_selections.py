"""Selections: objects, prefixes and patterns, and when a character is literal."""

from __future__ import annotations

import fnmatch
import glob
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.errors import UrlError
from aisio.patterns.selections import Pattern, Selections


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a-*.tar", "a-0.tar", True),
        ("a-*.tar", "a-.tar", True),
        ("a-*.tar", "a-b/c.tar", False),
        ("a-*.tar", "a-0.tar.idx", False),
        ("a-?.tar", "a-0.tar", True),
        ("a-?.tar", "a-00.tar", False),
        ("a-[0-1].tar", "a-1.tar", True),
        ("a-[0-1].tar", "a-2.tar", False),
        ("a-[!0-1].tar", "a-2.tar", True),
        ("a-[", "a-[", True),
        ("a-[*]", "a-*", True),
        ("a-[*]?", "a-xx", False),
        ("A*", "a", False),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "a/b/y", False),
        ("a/**/x", "a/x", True),
        ("a/**/x", "a/b/x/y/x", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a-*/", "a-1/b/c", True),
        ("a-*/", "a-1", False),
        ("*/**/b/**/c", "x/b/b/y/c", True),
        ("*", ".hidden", True),
        ("*", "line\nbreak", True),
    ],
)
def test_patterns_match_whole_names_folder_by_folder(pattern, name, expected):
    """As a shell does, except that hidden names match too."""
    assert Pattern(pattern).matches(name) is expected


def test_a_pattern_takes_no_more_time_than_it_is_long():
    """A catalog may come from anyone; one regular expression would take years for this."""
    assert not Pattern("*a" * 30 + "b").matches("a" * 1000)
    assert not Pattern("**/a/" * 30 + "b").matches("a/" * 1000 + "c")


@pytest.mark.parametrize("text", ["**.tar", "a/b**/c", "***"])
def test_two_stars_stand_for_whole_folders(text):
    """Within a name two stars would mean the same as one, which is surely a mistake."""
    with pytest.raises(UrlError, match=re.escape("**/*.tar")):
        Selections(text)


parts = st.text("ab*?[]!", min_size=1, max_size=6).filter(lambda text: "**" not in text)


@given(parts, st.text("ab!][", min_size=1, max_size=6))
def test_within_a_folder_patterns_are_those_of_fnmatch(pattern, name):
    """The standard library says what matches; the fixed beginning agrees with it."""
    expected = fnmatch.fnmatchcase(name, pattern)
    assert Pattern(pattern).matches(name) is expected
    if expected:
        (selection,) = Selections(pattern)
        assert name.startswith(selection.start)
        assert selection.pattern is not None or name == selection.start


@given(st.text("ab*?[]!{},/0.", max_size=12).filter(lambda text: "**" not in text))
def test_escaped_text_is_literal(text):
    """`glob.escape`, and brackets around braces, take every meaning away."""
    escaped = re.sub(r"[{}]", r"[\g<0>]", glob.escape(text))
    selections = Selections(escaped)
    (selection,) = selections
    assert (selection.start, selection.pattern) == (text, None)
    assert selection.is_expanded is False
    assert selections.start == text


@pytest.mark.parametrize(
    ("text", "is_prefix", "start"),
    [
        ("", True, ""),
        ("train/", True, "train/"),
        ("a[[]1]/", True, "a[1]/"),
        ("train", False, "train"),
        ("train/*", False, "train/"),
        ("train-*/", False, "train-"),
        ("t/{a,b}/", False, "t/"),
        ("a[*]-{0..1}", False, "a*-"),
    ],
)
def test_what_is_a_folder_and_nothing_else(text, is_prefix, start):
    """It needs no look at an object of that name; and what all its names begin with."""
    selections = Selections(text)
    assert selections.is_prefix is is_prefix
    assert selections.start == start


def test_names_made_by_braces_are_complete():
    """They are not looked up; folders and patterns made so are listed."""
    complete = [
        one.is_complete for text in ("{a,b}", "{a,b}/", "{a,b}*", "a") for one in Selections(text)
    ]
    assert complete == [True, True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("x.bin", "x.bin", True),
        ("x", "x.bin", False),
        ("x[*]", "x*", True),
        ("x*", "x*", True),
        ("x*", "x1", False),
        ("{x,y}", "y", True),
        ("{x,y}/", "y/1", False),
        ("{x,y/}", "x", True),
        ("{x,y/}", "y/1", False),
        ("{y/,x}", "x", True),
    ],
)
def test_an_object_is_named_or_met(text, name, expected):
    """What is named itself is read whatever its name is like."""
    assert Selections(text).names_object(name) is expected


def test_selections_pickle():
    """A source goes to a worker."""
    (selection,) = pickle.loads(pickle.dumps(Selections("a/*.tar")))
    assert selection.pattern.matches("a/b.tar")
