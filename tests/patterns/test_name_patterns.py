"""NamePatterns: which names `include=` and `exclude=` take."""

from __future__ import annotations

from typing import Any

import pytest

from aisio.errors import ConfigError, UrlError
from aisio.patterns.name_patterns import NamePatterns
from aisio.records import ObjectInfo

BASE = "ais://b/data/"
NAMES = ["a.jpg", "a.json", "train/b.jpg", "train/cats/c.png", "val/d.jpg", "val/._d.jpg"]


def taken(**patterns: Any) -> list[str]:
    """Return which names are read."""
    chosen = NamePatterns(**patterns)
    infos = [ObjectInfo("ais://b", f"data/{name}") for name in NAMES]
    return [
        info.name.removeprefix("data/") for info in infos if not chosen.why_left_out(info, BASE)
    ]


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
    assert not NamePatterns("other/*").why_left_out(info, BASE)
    assert not NamePatterns("other/*").why_left_out(info, "")


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
