"""Regular expressions from clients: what they find, and that every search ends."""

from __future__ import annotations

import re

import pytest

from aisio.gateway.protocol.regexes import RegexError, is_cheap, search_each

NAMES = ["b/2.txt", "a/1.txt", "a/1.jpg", "", "line\nbreak", "ünï", "\udcff", "a\x00b"]


@pytest.mark.parametrize(
    "pattern",
    ["^a", r"\.txt$", r"\d.t", "[12]", r"^(a|b)/\d+\.(txt|jpg)$", "^[^.]*$|(x+)+", "(ü)?\udcff"],
)
def test_every_search_finds_what_re_finds(pattern: str) -> None:
    """In this process or in a subprocess, whatever is in the names."""
    assert search_each(pattern, NAMES) == [bool(re.search(pattern, name)) for name in NAMES]


@pytest.mark.parametrize("pattern", ["a*b", "^(a+)+$", "(a|a)*$", "a{2}", "[0-9]", "a|b", "(?i)a"])
def test_what_costs_more_than_one_comparison_is_not_cheap(pattern: str) -> None:
    """A repetition takes the square of a name's length or more; a set is slow to compile."""
    assert not is_cheap(pattern, ["a"])


@pytest.mark.parametrize("pattern", ["^train/", r"\.jpg$", r"^\d\d-", "a.c"])
def test_plain_text_needs_no_subprocess(pattern: str) -> None:
    """Unless the text and the names are so long that the comparison takes time."""
    assert is_cheap(pattern, ["a" * 1000] * 100)
    assert not is_cheap(pattern, ["a" * 1000] * 10_000)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("^(a+)+$", "a" * 60 + "!"), ("(?i:[\u0101-\uffff])|" * 20_000 + "x", "a")],
)
def test_a_search_that_would_take_forever_ends(pattern: str, name: str) -> None:
    """Whether the search or the compilation is slow; the error names the expression."""
    with pytest.raises(RegexError, match="takes too long: over 0.2 s") as caught:
        search_each(pattern, [name], timeout_s=0.2)
    assert len(str(caught.value)) < 500


def test_cpu_time_is_limited_apart_from_elapsed_time() -> None:
    """A harmless expression on a busy machine takes long, too, and must not be refused."""
    with pytest.raises(RegexError, match="over 1 s of CPU time"):
        search_each("^(a+)+$", ["a" * 60 + "!"], max_cpu_s=1, timeout_s=600)


@pytest.mark.parametrize("pattern", ["(", "\\", "a{99999999999}", "(?P<1>a)", "(" * 30_000])
def test_an_invalid_expression_is_an_error(pattern: str) -> None:
    """Also where the subprocess compiles it."""
    with pytest.raises(RegexError):
        search_each(pattern, NAMES)
