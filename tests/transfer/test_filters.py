"""NameFilter."""

from __future__ import annotations

import pytest

from aisio.errors import UrlError
from aisio.transfer.filters import NameFilter

NAMES = ("a.jpg", "a.txt", "deep/b.jpg", "deep/er/c.jpg", "tmp/d.txt")


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ([], [], NAMES),
        (["*.txt"], [], ("a.txt", "tmp/d.txt")),
        ([], ["*.jpg"], ("a.txt", "tmp/d.txt")),
        (["deep/*.jpg"], [], ("deep/b.jpg",)),
        (["deep/**"], [], ("deep/b.jpg", "deep/er/c.jpg")),
        (["/a.*"], [], ("a.jpg", "a.txt")),
        (["tmp/"], [], ("tmp/d.txt",)),
        (["er/"], [], ("deep/er/c.jpg",)),
        (["{a,b}.jpg"], [], ("a.jpg", "deep/b.jpg")),
        (["*.jpg"], ["deep/", "tmp/"], ("a.jpg",)),
        (["[ab].jpg", "d.txt"], [], ("a.jpg", "deep/b.jpg", "tmp/d.txt")),
    ],
)
def test_names_are_taken_by_patterns(include, exclude, taken):
    """Without a "/" in any folder, with one from the root of the tree."""
    names = NameFilter(include, exclude)
    assert tuple(name for name in NAMES if names.takes(name)) == taken


def test_an_invalid_pattern_is_an_error():
    """At once, and not for each name."""
    with pytest.raises(UrlError):
        NameFilter(["{a,b"])
