"""Outcomes."""

from __future__ import annotations

from aisio.transfer.jobs import Action, Outcome


def test_an_outcome_is_named_by_its_source():
    """A deletion has none."""
    assert Outcome(Action.COPY, "ais://b/a", "file:///a").name == "ais://b/a"
    assert Outcome(Action.DELETE, "", "file:///a").name == "file:///a"
