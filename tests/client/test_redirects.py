"""Redirects: whether targets refuse direct reads, and where the proxy has sent reads."""

from __future__ import annotations

import pytest

from aisio.client.redirects import KEEP_REDIRECT_S, RETRY_DIRECT_S, KeptRedirects, Redirects
from aisio.wire.placement import ClusterMap, Target

REFUSAL = "GET ais://b/o: 403 direct target access denied"
MAP = ClusterMap(1, "u", (Target("t", 1, "http://t"),))


class Clock:
    """A clock whose time passes when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def test_direct_reads_are_tried_again_after_a_while() -> None:
    """The cluster may be set up anew; the refusal is logged only once."""
    clock = Clock()
    redirects = Redirects(clock)
    assert not redirects.are_required
    redirects.require(REFUSAL)
    assert redirects.are_required
    clock.seconds = RETRY_DIRECT_S
    assert not redirects.are_required


def test_the_first_refusal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """One line a process, with the cluster's own words."""
    redirects = Redirects()
    with caplog.at_level("INFO"):
        for _ in range(3):
            redirects.require(REFUSAL)
    assert len(caplog.records) == 1
    assert "direct target access denied" in caplog.text


def test_a_redirect_is_kept_for_a_while() -> None:
    """As long as a cluster map is relied on: the object may move."""
    clock = Clock()
    redirects = KeptRedirects(clock)
    assert redirects.find("/o", MAP) is None
    redirects.keep("/o", "http://t/o?u=1", MAP)
    assert redirects.find("/o", MAP) == "http://t/o?u=1"
    assert redirects.find("/p", MAP) is None
    clock.seconds = KEEP_REDIRECT_S
    assert redirects.find("/o", MAP) is None


def test_a_refused_redirect_does_not_drop_its_successor() -> None:
    """Of two parts that are refused, the second may fail when the first has a new redirect."""
    redirects = KeptRedirects()
    redirects.keep("/o", "http://t/o?u=2", MAP)
    redirects.drop("/o", "http://t/o?u=1", REFUSAL)
    assert redirects.find("/o", MAP) == "http://t/o?u=2"
    redirects.drop("/o", "http://t/o?u=2", REFUSAL)
    assert redirects.find("/o", MAP) is None


def test_what_is_kept_does_not_grow_without_end() -> None:
    """A job reads millions of objects."""
    redirects = KeptRedirects()
    for number in range(10_000):
        redirects.keep(f"/{number}", "u", MAP)
    assert redirects.find("/9999", MAP) == "u"
    assert redirects.find("/1", MAP) is None


def test_no_log_shows_a_signature(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has a signed URL can read the object."""
    redirects = KeptRedirects()
    redirects.keep("/o", "http://t/o?u=s1gnature", MAP)
    with caplog.at_level("DEBUG"):
        redirects.drop("/o", "http://t/o?u=s1gnature", REFUSAL)
    assert caplog.records
    assert "s1gnature" not in caplog.text


@pytest.mark.parametrize("other", [None, ClusterMap(1, "u", MAP.targets), ClusterMap(2, "u", ())])
def test_a_redirect_is_of_one_map(other: ClusterMap | None) -> None:
    """Under another the object may be elsewhere, and an old version of it where it was."""
    redirects = KeptRedirects()
    redirects.keep("/o", "http://t/o", MAP)
    assert redirects.find("/o", other) is None
    redirects.keep("/o", "http://t/o", None)
    assert redirects.find("/o", None) == "http://t/o"


@pytest.mark.parametrize(("url", "is_kept"), [("http://t/o?u=2", True), ("http://v/o?u=2", False)])
def test_a_put_elsewhere_ends_all_redirects(url: str, is_kept: bool) -> None:
    """The cluster has changed, also where its map is hidden."""
    redirects = KeptRedirects()
    for name in ("/o", "/p"):
        redirects.keep(name, f"http://t{name}?u=1", None)
    redirects.compare("/new", url)
    redirects.compare("/o", url)
    assert [redirects.find(name, None) is not None for name in ("/o", "/p")] == [is_kept] * 2
