"""The two orders of a listing, and where they differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aisio.wire.listing_order import after_folder, between, crossings

TEXT = st.text("ab-./é", min_size=1, max_size=8)


def outer(border: str, folder: str = "") -> list[str]:
    """Return the texts that a border crosses."""
    return [border[:at] for at in crossings(border, folder)]


@given(TEXT, TEXT)
def test_a_border_is_between_two_names(name: str, following: str) -> None:
    """It is greater than the name, and the beginning of the following one."""
    if name < following:
        border = between(name, following)
        assert name < border <= following
        assert following.startswith(border)


def test_a_border_is_short() -> None:
    """So that it crosses few D."""
    assert between("s-0011.tar", "s-0012.tar") == "s-0012"
    assert between("a", "a/b") == "a/"


def test_a_border_crosses_what_a_low_character_follows() -> None:
    """Shortest first; the folder that is listed is not crossed."""
    assert outer("train/img-01") == ["train", "train/img"]
    assert outer("train/img-01", "train/") == ["train/img"]
    assert outer("a.b/c") == ["a", "a.b"]
    assert outer("train") == outer("") == []


def test_what_begins_with_a_low_character_crosses_nothing_there() -> None:
    """There is no folder without a name."""
    assert outer("-a/.b") == ["-a"]


def test_behind_a_folder_are_all_later_names() -> None:
    """And none that is in it."""
    assert "a/\U0010ffff/x" < after_folder("a/") < "a0"
