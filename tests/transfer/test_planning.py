"""Plans of transfers."""

from __future__ import annotations

import pytest

from aisio.records import ObjectInfo
from aisio.sources.kinds import PrefixSource
from aisio.stores import LocalStore
from aisio.transfer.comparison import Comparison
from aisio.transfer.destination import Destination
from aisio.transfer.jobs import Action
from aisio.transfer.options import TransferOptions
from aisio.transfer.planning import make_plan, split_blocking
from aisio.transfer.trees import Entry
from aisio.urls import ObjectUrl

SOURCE = PrefixSource(LocalStore(), ObjectUrl.parse("file:///"))


def entry(name: str) -> Entry:
    """Return an entry of that name."""
    return Entry(name, ObjectInfo("file://", f"x/{name}", 1), SOURCE)


@pytest.mark.parametrize(
    ("extra", "wanted", "blocking"),
    [
        (["a", "b"], ["a/c"], ["a"]),
        (["a/b/c", "a/d", "e"], ["a"], ["a/b/c", "a/d"]),
        (["ab", "a-b"], ["a/b", "b"], []),
        (["x/a"], ["x/a/b/c"], ["x/a"]),
    ],
)
def test_what_stands_in_the_way_is_found(extra, wanted, blocking):
    """A file where a folder must be, and the other way round."""
    first, others = split_blocking(map(entry, extra), wanted)
    assert [one.name for one in first] == blocking
    assert [one.name for one in others] == [name for name in extra if name not in blocking]


def test_a_name_that_the_destination_refuses_is_a_failure(client, checksums):
    """The others are copied."""
    place = Destination.of(ObjectUrl.parse("ais://b"), client, is_folder=True)
    entries = [entry("a"), entry("caf\udce9")]
    plan = make_plan(entries, place, TransferOptions(), Comparison(checksums))
    assert [str(job.url) for job in plan.copies] == ["ais://b/a"]
    (outcome,) = plan.outcomes
    assert outcome.action is Action.COPY
    assert "not UTF-8" in str(outcome.error)
