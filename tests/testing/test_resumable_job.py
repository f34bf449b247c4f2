"""JobRanks, JobCheckpoints and difference: what the checks of loaders share."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from aisio.testing.resumable_job import JobCheckpoints, JobRanks, described, difference


class Named:
    """A loader that holds what it was made from as its state."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        self.state: Any = {"arguments": [*arguments, others]}
        self.lengths = 0

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))

    def __len__(self) -> int:
        self.lengths += 1
        raise TypeError("no length")

    def state_dict(self) -> Any:
        """Return the state."""
        return self.state

    def load_state_dict(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


def test_each_rank_has_a_loader() -> None:
    """Made from its number, that of ranks, and what else the topology says."""
    ranks = JobRanks(Named, {"ranks": 2, "batch_size": 8})
    states = [loader.state_dict()["arguments"] for loader in ranks.loaders]
    assert states == [[0, 2, {"batch_size": 8}], [1, 2, {"batch_size": 8}]]
    assert [loader.state_dict()["arguments"] for loader in JobRanks(Named, 1).loaders] == [
        [0, 1, {}]
    ]
    ranks.begin_epoch()
    assert [list(iterator) for iterator in ranks.iterators] == [[1, 2]] * 2


def test_a_loader_without_a_length_will_do() -> None:
    """It is asked for one, as a progress bar does."""
    made: list[Named] = []

    def make(rank: int, ranks: int) -> Named:
        made.append(Named(rank, ranks))
        return made[-1]

    JobRanks(make, 2)
    assert [loader.lengths for loader in made] == [1, 1]


def test_a_topology_as_text() -> None:
    """A number is that of ranks."""
    assert described(3) == "3 ranks"
    assert described({"ranks": 2, "workers": 0}) == "2 ranks with workers=0"
    assert described({"workers": 0}) == "1 rank with workers=0"


def test_the_state_of_rank_0_is_for_all() -> None:
    """It goes through dumps and loads."""
    old = [Named(7), Named(7)]
    new = [Named(0), Named(0), Named(0)]
    checkpoints = JobCheckpoints(pickle.dumps, pickle.loads)
    checkpoints.restore(new, checkpoints.save(old))
    assert [loader.state for loader in new] == [old[0].state] * 3
    assert new[0].state is not old[0].state


def test_each_rank_may_have_its_own() -> None:
    """Then no other will do."""
    old = [Named(7), Named(8)]
    new = [Named(0), Named(0)]
    checkpoints = JobCheckpoints(has_own_states=True)
    checkpoints.restore(new, checkpoints.save(old))
    assert [loader.state for loader in new] == [loader.state for loader in old]
    with pytest.raises(AssertionError, match="the ranks have different states"):
        JobCheckpoints().save(old)


def test_a_state_has_a_limit() -> None:
    """In bytes, as it is written."""
    size = len('{"arguments": [7, {}]}')
    JobCheckpoints(max_bytes=size).save([Named(7)])
    with pytest.raises(AssertionError, match=f"a state of {size} bytes: at most {size - 1} are"):
        JobCheckpoints(max_bytes=size - 1).save([Named(7)])


@pytest.mark.parametrize(
    ("received", "limits", "text"),
    [
        ([1, 2, 3], {}, ""),
        ([3, 1], {}, "1 sample did not come: 2"),
        ([3, 1], {"max_dropped": 1}, ""),
        ([3, 1, 2, 2, 2], {}, "2 samples came more than once: 2"),
        ([3, 1, 2, 2, 2], {"max_repeated": 2}, ""),
        ([1, 1, 2], {}, "1 sample did not come: 3; 1 sample came more than once: 1"),
        ([1, 2, 3, 4, 4], {"max_repeated": 9}, "2 samples came that do not exist: 4"),
    ],
)
def test_the_difference_between_what_came_and_what_there_is(
    received: list[int], limits: dict[str, int], text: str
) -> None:
    """Nothing where it is within the limits."""
    assert difference(received, [1, 2, 3], **limits) == text
