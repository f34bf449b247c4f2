"""Regular expressions of clients: what they find, and that each ends."""

from __future__ import annotations

import re

import pytest

from aisio.gateway.regexes import SlowRegexError, is_quick, search_each

NAMES = ["b/2.txt", "a/1.txt", "a/1.jpg", "", "line\nbreak", "ünï", "\udcff", "a\x00b"]


@pytest.mark.parametrize(
    "pattern", ["^a", "[12]", r".*\.txt$", r"^(a|b)/\d+\.(txt|jpg)$", "^[^.]*$|(x+)+", "(ü)?\udcff"]
)
def test_both_ways_find_what_re_finds(pattern: str) -> None:
    """Whether searched for here or in a process apart, whatever is in the names."""
    assert search_each(pattern, NAMES) == [bool(re.search(pattern, name)) for name in NAMES]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|a)*$", "(a?){40}a{40}", "(a|ab|b)+c"])
def test_what_may_take_for_ever_is_not_quick(pattern: str) -> None:
    """A repetition within or behind another, or of a choice."""
    assert not is_quick(pattern)


@pytest.mark.parametrize("pattern", ["^train/", r".*\.jpg$", r"\.(jpg|png)$", "a|b", "[0-9]+"])
def test_what_is_usual_needs_no_process(pattern: str) -> None:
    """It ends by itself."""
    assert is_quick(pattern)


def test_in_a_long_name_no_repetition_is_quick() -> None:
    """The square of its length is too much to wait for."""
    assert not is_quick(".*x", longest=100_000)


def test_a_search_that_takes_for_ever_ends() -> None:
    """The error names the expression."""
    with pytest.raises(SlowRegexError, match=r"'\^\(a\+\)\+\$' takes too long: over 0.2 s"):
        search_each("^(a+)+$", ["a" * 60 + "!"], limit_s=0.2)
