"""A source without objects is an error that says what to look at."""

from __future__ import annotations

import pytest

from aisio.errors import NotFoundError
from aisio.left_out import LeftOut
from aisio.sources.nothing_found import no_name_begins_so, nothing_found, require_some


def test_items_pass_until_there_is_none():
    """The error comes at the end of an empty listing, and only there."""
    assert list(require_some(iter("ab"), "ais://b/")) == ["a", "b"]
    with pytest.raises(NotFoundError, match="ais://b/trian-: there is no such object") as caught:
        list(require_some(iter(()), "ais://b/trian-"))
    assert caught.value.url == "ais://b/trian-"


def test_the_text_says_what_is_there_and_what_to_do():
    """What was left out, what a wildcard does not match, and the switch."""
    left_out = LeftOut()
    left_out.add("a.idx", "not a shard")
    assert "left out 1 (not a shard): 'a.idx'" in str(nothing_found("ais://b/", left_out=left_out))
    assert "ais://b, prefix 't/*'" in str(nothing_found("ais://b", prefix="t/*"))
    assert "'*' stands for no '/'" in str(nothing_found("ais://b/*"))
    assert "allow_empty=True" in str(nothing_found("ais://b/"))


@pytest.mark.parametrize("url", ["ais://b/*.jpg", "ais://b/{a,b}", "ais://b/00[0-3]"])
def test_a_pattern_in_a_command_is_told(url):
    """Commands take plain-string prefixes, and say so where a pattern matches nothing."""
    assert "as text" in str(no_name_begins_so(url))
    assert "as text" not in str(no_name_begins_so("ais://b/trian/"))
