"""EqualByKey: equal keys make equal objects, of one class."""

from __future__ import annotations

from collections.abc import Hashable

from aisio.equality import EqualByKey


class Named(EqualByKey):
    """Has a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _key(self) -> Hashable:
        return self.name


class Other(Named):
    """May be something else under the same name."""


def test_equal_keys_are_equal_objects() -> None:
    """Also as keys of a dict."""
    one = Named("a")
    assert {one: 1}[Named("a")] == 1
    assert one != Named("b")
    assert one != "a"


def test_a_subclass_without_a_key_is_itself_alone() -> None:
    """It may have attributes that the key does not know."""
    one = Other("a")
    assert one == one
    assert {one: 1}[one] == 1
    assert one != Other("a")
    assert one != Named("a")
    assert Named("a") != one
