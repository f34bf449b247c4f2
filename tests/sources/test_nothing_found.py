"""The errors for sources without objects say what may be wrong."""

from __future__ import annotations

import pytest

from aisio.errors import NotFoundError
from aisio.skipped import SkippedNames
from aisio.sources.nothing_found import no_name_begins_so, nothing_found, require_some


def test_items_pass_until_there_is_none():
    """The error is raised at the end of an empty listing, and only then."""
    assert list(require_some(iter("ab"), "ais://b/")) == ["a", "b"]
    with pytest.raises(NotFoundError, match="ais://b/trian-: there is no such object") as caught:
        list(require_some(iter(()), "ais://b/trian-"))
    assert caught.value.url == "ais://b/trian-"


def test_the_text_says_what_is_there_and_what_to_do():
    """The skipped names, what a wildcard does not match, and allow_empty."""
    skipped = SkippedNames()
    skipped.add("a.idx", "not a shard")
    assert "skipped 1 (not a shard): 'a.idx'" in str(nothing_found("ais://b/", skipped=skipped))
    assert "ais://b, prefix 't/*'" in str(nothing_found("ais://b", prefix="t/*"))
    assert "'*' stands for no '/'" in str(nothing_found("ais://b/*"))
    assert "allow_empty=True" in str(nothing_found("ais://b/"))


@pytest.mark.parametrize("url", ["ais://b/*.jpg", "ais://b/{a,b}", "ais://b/00[0-3]"])
def test_a_pattern_in_a_command_gets_a_hint(url):
    """A prefix gets none."""
    assert "as a pattern it matches none: '*' stands for no '/'" in str(no_name_begins_so(url))
    assert "pattern" not in str(no_name_begins_so("ais://b/trian/"))
