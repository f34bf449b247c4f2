"""assert_exact_resume: it passes a loader that is exact, and finds out what others do wrong."""

from __future__ import annotations

import ast
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aisio.testing import assert_exact_resume

COUNT = 24


class Exact:
    """Numbers, dealt out to the ranks in turn; the state is how many are gone."""

    def __init__(self, rank: int, ranks: int) -> None:
        self.rank, self.ranks, self.gone = rank, ranks, 0

    def __iter__(self) -> Iterator[int]:
        while self.gone < COUNT:
            mine = self.gone + self.rank
            self.gone = min(COUNT, self.gone + self.ranks)
            if mine < COUNT:
                yield mine

    def state_dict(self) -> dict[str, Any]:
        """Return how many are gone."""
        return {"gone": self.gone}

    def load_state_dict(self, state: Any) -> None:
        """Go there."""
        self.gone = state["gone"]


class Forgetful(Exact):
    """Begins again, whatever the state."""

    def load_state_dict(self, state: Any) -> None:
        """Do nothing."""


class Hasty(Exact):
    """Counts what it has read ahead."""

    def state_dict(self) -> dict[str, Any]:
        """Return too many."""
        return {"gone": min(COUNT, self.gone + 2 * self.ranks) if self.gone else 0}


class OwnState(Exact):
    """Says something else on each rank."""

    def state_dict(self) -> dict[str, Any]:
        """Return the rank as well."""
        return {"gone": self.gone, "rank": self.rank}


class Large(Exact):
    """Has a state as long as the epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return a word for each sample."""
        return {"gone": self.gone, "seen": ["sample"] * COUNT}


class Epochs(Exact):
    """Has more than one epoch, each in an order of its own."""

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__(rank, ranks)
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        for number in super().__iter__():
            yield (number + self.epoch) % COUNT
        self.epoch, self.gone = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch as well."""
        return {"gone": self.gone, "epoch": self.epoch}

    def load_state_dict(self, state: Any) -> None:
        """Go there."""
        self.gone, self.epoch = state["gone"], state["epoch"]


class SkipsAnEpoch(Epochs):
    """Counts one too many after a resume."""

    def __iter__(self) -> Iterator[int]:
        yield from super().__iter__()
        self.epoch += self.resumed

    resumed = 0

    def load_state_dict(self, state: Any) -> None:
        """Go there, and remember it."""
        super().load_state_dict(state)
        self.resumed = 1


class Pads(Exact):
    """Gives the last rank's numbers that are missing from the beginning."""

    def __iter__(self) -> Iterator[int]:
        while self.gone < COUNT:
            mine = self.gone + self.rank
            self.gone = min(COUNT, self.gone + self.ranks)
            yield mine % COUNT


class Binary(Exact):
    """Has a state that is not JSON."""

    def state_dict(self) -> dict[str, Any]:
        """Return bytes."""
        return {"gone": bytes([self.gone])}

    def load_state_dict(self, state: Any) -> None:
        """Go there."""
        self.gone = state["gone"][0]


def check(loader: type[Exact], **limits: Any) -> None:
    """Check a loader on two topologies."""
    assert_exact_resume(
        loader, range(COUNT), lambda sample: [sample], topologies=[1, 2, 3], **limits
    )


def test_an_exact_loader_passes() -> None:
    """Wherever it stops, and whoever goes on."""
    check(Exact)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (Forgetful, "stopped after 0 of 24 batches on 1 ranks, then 1: came more than once: 0"),
        (Hasty, "stopped after 0 of 24 batches on 1 ranks, then 1: did not come: 1, 2"),
        (OwnState, "the ranks have different states"),
    ],
)
def test_what_is_wrong_is_found(loader: type[Exact], message: str) -> None:
    """With the stop at which it shows."""
    with pytest.raises(AssertionError, match=message):
        check(loader)


def test_a_state_that_grows_with_the_data_is_found() -> None:
    """A checkpoint should not."""
    with pytest.raises(AssertionError, match="a state of 2[0-9]{2} bytes"):
        check(Large, max_state_bytes=100)
    check(Large, max_state_bytes=1000)


def test_so_many_may_be_missing() -> None:
    """As where ranks are made equal."""
    check(Hasty, max_dropped=2 * 3 * 2)


def test_the_next_epoch_is_compared() -> None:
    """With that of a job that was never stopped."""
    check(Epochs)
    with pytest.raises(AssertionError, match="the next epoch is not that of ranks that were never"):
        check(SkipsAnEpoch)


def test_so_many_may_come_twice() -> None:
    """As where ranks are padded."""

    def padded(max_repeated: int) -> None:
        assert_exact_resume(
            Pads, range(COUNT), lambda one: [one], topologies=[5], max_repeated=max_repeated
        )

    padded(1)
    with pytest.raises(AssertionError, match="came more than once: 0"):
        padded(0)


def test_a_state_may_be_written_otherwise() -> None:
    """Than as JSON."""
    check(Binary, dumps=pickle.dumps, loads=pickle.loads)
    with pytest.raises(TypeError, match="not JSON serializable"):
        check(Binary)


def test_stops_are_no_more_than_was_said() -> None:
    """But for the end of the epoch."""
    made: list[Exact] = []

    def make(rank: int, ranks: int) -> Exact:
        made.append(Exact(rank, ranks))
        return made[-1]

    assert_exact_resume(make, range(COUNT), lambda one: [one], max_stops=13)
    stops = 1 + COUNT // 2
    assert len(made) <= 2 + 3 * stops


def test_it_checks_also_without_assert_statements() -> None:
    """That is, under `python -O`."""
    path = inspect.getfile(assert_exact_resume)
    tree = ast.parse(Path(path).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]


class Uneven(Epochs):
    """Has one number more on rank 0 than on the others."""

    def __iter__(self) -> Iterator[int]:
        while self.gone <= COUNT:
            mine = self.gone + self.rank
            self.gone += self.ranks
            if mine <= COUNT:
                yield mine
        self.epoch, self.gone = self.epoch + 1, 0


def test_ranks_may_differ_by_a_batch_at_the_end() -> None:
    """Then all read to the end, and nobody goes on in that epoch."""
    assert_exact_resume(
        Uneven, range(COUNT + 1), lambda sample: [sample], topologies=[1, 2, 3, 6], max_stops=50
    )
