"""Regular expressions of clients: what they find, and that each ends."""

from __future__ import annotations

import re

import pytest

from aisio.gateway.protocol.regexes import RegexError, is_quick, search_each

NAMES = ["b/2.txt", "a/1.txt", "a/1.jpg", "", "line\nbreak", "ünï", "\udcff", "a\x00b"]


@pytest.mark.parametrize(
    "pattern",
    ["^a", r"\.txt$", r"\d.t", "[12]", r"^(a|b)/\d+\.(txt|jpg)$", "^[^.]*$|(x+)+", "(ü)?\udcff"],
)
def test_both_ways_find_what_re_finds(pattern: str) -> None:
    """Whether searched for here or in a process apart, whatever is in the names."""
    assert search_each(pattern, NAMES) == [bool(re.search(pattern, name)) for name in NAMES]


@pytest.mark.parametrize("pattern", ["a*b", "^(a+)+$", "(a|a)*$", "a{2}", "[0-9]", "a|b", "(?i)a"])
def test_what_costs_more_than_one_comparison_is_not_quick(pattern: str) -> None:
    """A repetition takes the square of a name's length, two together more; a set, long to read."""
    assert not is_quick(pattern, ["a"])


@pytest.mark.parametrize("pattern", ["^train/", r"\.jpg$", r"^\d\d-", "a.c"])
def test_plain_text_needs_no_process(pattern: str) -> None:
    """Unless there is so much of it, and so many names, that comparing takes long."""
    assert is_quick(pattern, ["a" * 1000] * 100)
    assert not is_quick(pattern, ["a" * 1000] * 10_000)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("^(a+)+$", "a" * 60 + "!"), ("(?i:[\u0101-\uffff])|" * 20_000 + "x", "a")],
)
def test_an_expression_that_takes_for_ever_ends(pattern: str, name: str) -> None:
    """Whether to search for it or to compile it; the error names the expression."""
    with pytest.raises(RegexError, match="takes too long: over 0.2 s") as caught:
        search_each(pattern, [name], patience_s=0.2)
    assert len(str(caught.value)) < 500


def test_what_is_limited_is_the_time_of_a_processor() -> None:
    """On a busy machine a harmless expression takes long as well, and must not be refused."""
    with pytest.raises(RegexError, match="over 1 s of a processor's time"):
        search_each("^(a+)+$", ["a" * 60 + "!"], limit_s=1, patience_s=600)


@pytest.mark.parametrize("pattern", ["(", "\\", "a{99999999999}", "(?P<1>a)", "(" * 30_000])
def test_what_is_no_expression_is_told(pattern: str) -> None:
    """Also where that is found out in a process apart."""
    with pytest.raises(RegexError):
        search_each(pattern, NAMES)
