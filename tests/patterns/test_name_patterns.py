"""NamePatterns: which names `include=` and `exclude=` take."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.errors import ConfigError, UrlError
from aisio.patterns.name_patterns import NamePatterns, UnmatchedPatterns
from aisio.records import ObjectInfo
from aisio.skipped import SkippedNames

BASE = "ais://b/data/"
NAMES = ["a.jpg", "a.json", "train/b.jpg", "train/cats/c.png", "val/d.jpg", "val/._d.jpg"]


def taken(**patterns: Any) -> list[str]:
    """Return which names are read."""
    infos = [ObjectInfo("ais://b", f"data/{name}") for name in NAMES]
    found = NamePatterns(**patterns).select(infos, BASE, SkippedNames())
    return [info.name.removeprefix("data/") for info in found]


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ("*.jpg", [0, 2, 4, 5]),
        ("*.{jpg,png}", [0, 2, 3, 4, 5]),
        (["*.json", "*.png"], [1, 3]),
        ("[ab].jpg", [0, 2]),
        ("train/*", [2]),
        ("train/", [2, 3]),
        ("cats/", [3]),
        ("train/cats/", [3]),
        ("/cats/", []),
        ("/train/", [2, 3]),
        ("/*.jpg", [0]),
        ("{train,cats}/", [2, 3]),
        ("train/**", [2, 3]),
        ("**/cats/*", [3]),
        ("*/*.jpg", [2, 4, 5]),
        ("data/a.jpg", []),
        ("nothing", []),
    ],
)
def test_a_pattern_is_of_the_last_part_or_of_the_name_in_the_source(include, expected):
    """With "/" in it the whole name below the folder of the source counts, else its last part."""
    assert taken(include=include) == [NAMES[number] for number in expected]
    names = NamePatterns(include)
    assert [name for name in NAMES if names.takes(name)] == taken(include=include)


def test_exclude_leaves_out_of_what_is_included():
    """As rsync and s5cmd do."""
    assert taken(exclude=["._*", "*.json"]) == [NAMES[n] for n in (0, 2, 3, 4)]
    assert taken(include="*.jpg", exclude="val/") == ["a.jpg", "train/b.jpg"]


def test_an_object_outside_of_the_folder_has_its_whole_name():
    """As one of a list of URLs of several folders."""
    info = ObjectInfo("ais://b", "other/1.jpg")
    for base in (BASE, ""):
        assert list(NamePatterns("other/*").select([info], base, SkippedNames())) == [info]


def test_a_pattern_may_have_very_many_expansions():
    """They are names, and are not compared one by one."""
    patterns = NamePatterns("{000000..099999}.jpg")
    infos = [ObjectInfo("ais://b", f"data/{number:06}.jpg") for number in range(99_000, 101_000)]
    assert len(list(patterns.select(infos, BASE, SkippedNames()))) == 1000


def test_equal_patterns_have_one_text():
    """Whatever their order is, and that of a set."""
    same: list[Any] = [["b", "a"], ("a", "b", "a"), {"a", "b"}]
    texts = {NamePatterns(one, "x").text for one in same}
    assert texts == {"include=['a', 'b'], exclude='x'"}
    assert NamePatterns(["*.jpg"]).text == NamePatterns("*.jpg").text == "include='*.jpg'"


def test_patterns_that_nothing_matches_are_known():
    """One that only matches what another one took is matched too, and braces are one pattern."""
    patterns = NamePatterns(["*", "*.{jpg,jpeg}", "*.jpge"], ["vall/", "/val/*", "val/._*"])
    unmatched = UnmatchedPatterns(patterns)
    infos = [ObjectInfo("ais://b", f"data/{name}") for name in NAMES]
    assert len(list(patterns.select(infos, BASE, SkippedNames(), unmatched))) == 4
    assert unmatched
    assert str(unmatched) == (
        "no name matches include='*.jpge', exclude='vall/': look for a misspelt pattern"
    )
    assert not UnmatchedPatterns(NamePatterns())


@pytest.mark.parametrize("patterns", ["", [], ["*.jpg", ""], [3], "/"])
@pytest.mark.parametrize("argument", ["include", "exclude"])
def test_no_pattern_is_refused(argument, patterns):
    """It would take nothing, or all."""
    with pytest.raises(ConfigError, match=f"<X> {argument}="):
        NamePatterns(**{argument: patterns}, owner="X")


@pytest.mark.parametrize("pattern", ["a**/b", "{a,b"])
def test_a_pattern_that_is_not_valid_is_refused(pattern):
    """As in a URL."""
    with pytest.raises(UrlError):
        NamePatterns(pattern)
