"""assert_exact_resume: it passes a loader that is exact, and finds out what others do wrong."""

from __future__ import annotations

import ast
import inspect
import pickle
import random
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
        (
            Forgetful,
            "stopped after 0 of 24 batches on 1 rank, then 1 rank: .*came more than once: 0",
        ),
        (
            Hasty,
            "stopped after 0 of 24 batches on 1 rank, then 1 rank: 2 samples did not come: 1, 2",
        ),
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


@pytest.mark.parametrize(("max_stops", "stops"), [(3, 6), (13, 15), (None, 25)])
def test_stops_are_spread_over_the_epoch(max_stops: int | None, stops: int) -> None:
    """And always at both sides of its first batch and of its last one."""
    stopped_at: list[int] = []

    class Noting(Exact):
        def load_state_dict(self, state: Any) -> None:
            stopped_at.append(state["gone"])
            super().load_state_dict(state)

    assert_exact_resume(Noting, range(COUNT), lambda one: [one], max_stops=max_stops)
    first_stops = [*stopped_at[:-2:2], *stopped_at[-2:]]
    assert {0, 1, COUNT - 1, COUNT} <= set(first_stops)
    assert len(set(first_stops)) == stops


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


def test_a_topology_is_more_than_ranks() -> None:
    """What else it says comes to the function that makes loaders, and stands in the message."""
    made: set[tuple[int, int, int]] = set()

    def make(rank: int, ranks: int, workers: int, kind: type[Exact] = Exact) -> Exact:
        made.add((rank, ranks, workers))
        return kind(rank, ranks)

    topologies = [{"ranks": 2, "workers": 3}, {"workers": 0}]
    assert_exact_resume(make, range(COUNT), lambda one: [one], topologies=topologies, max_stops=4)
    assert made == {(0, 2, 3), (1, 2, 3), (0, 1, 0)}
    topologies[1]["kind"] = Forgetful  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="on 2 ranks with workers=3, then 1 rank with worker"):
        assert_exact_resume(make, range(COUNT), lambda one: [one], topologies=topologies)


class Grows(Exact):
    """Has a state that lists what came."""

    def state_dict(self) -> dict[str, Any]:
        """Return a number for each sample."""
        return {"gone": self.gone, "seen": list(range(self.gone))}


def test_a_state_that_grows_with_what_was_read_is_found() -> None:
    """Though it is small where there are few samples, as in a test."""
    with pytest.raises(AssertionError, match="states of 2. to 9. bytes: they may differ by 64"):
        check(Grows)
    check(Grows, max_state_growth_bytes=100)


class Counts(Exact):
    """Says something else each time."""

    calls = 0

    def state_dict(self) -> dict[str, Any]:
        """Return how often it was called."""
        self.calls += 1
        return {"gone": self.gone, "calls": self.calls}


def test_looking_at_a_state_changes_nothing() -> None:
    """Else the second look would lose what the first one had."""
    with pytest.raises(AssertionError, match="another state when it was called again"):
        check(Counts)


class SkipsAtTheBorder(Epochs):
    """Counts a finished epoch when it is asked, and once more when it goes on."""

    def load_state_dict(self, state: Any) -> None:
        """Go there, or to the epoch behind."""
        super().load_state_dict(state)
        self.epoch += self.epoch > 0 and not self.gone


def test_a_stop_between_two_epochs_is_checked() -> None:
    """The next one is neither skipped nor the same again."""
    with pytest.raises(AssertionError, match="stopped behind an epoch on 1 rank, then 1 rank"):
        check(SkipsAtTheBorder)


class LosesItsState(Exact):
    """Begins anew where its length is looked at."""

    def __len__(self) -> int:
        self.is_spoilt = True
        return COUNT

    is_spoilt = False

    def load_state_dict(self, state: Any) -> None:
        """Go there, perhaps."""
        if not self.is_spoilt:
            super().load_state_dict(state)


def test_the_length_is_looked_at_first() -> None:
    """As a progress bar does."""
    with pytest.raises(AssertionError, match="24 samples|came more than once"):
        check(LosesItsState)


def test_ranks_may_have_states_of_their_own() -> None:
    """Then each goes on from its own, and their number stays."""

    def own(*ranks: int) -> None:
        assert_exact_resume(
            OwnState, range(COUNT), lambda one: [one], topologies=ranks, own_states=True
        )

    own(3)
    with pytest.raises(ValueError, match="2 ranks saved states of their own, and 3 go on"):
        own(2, 3)


class LosesItsBuffer:
    """Shuffles a stream in a buffer, as webdataset does; the state counts what was read.

    What stands in the buffer at a stop was read and not given.
    """

    def __init__(self, rank: int, ranks: int) -> None:
        self.rank, self.ranks, self.read = rank, ranks, 0

    def __iter__(self) -> Iterator[int]:
        rng, buffer = random.Random(7), list[int]()
        while self.read < COUNT or buffer:
            while self.read < COUNT and len(buffer) < 8:
                buffer.append(self.read)
                self.read += 1
            yield buffer.pop(rng.randrange(len(buffer)))
        self.read = 0

    def state_dict(self) -> dict[str, Any]:
        """Return how many were read."""
        return {"read": self.read}

    def load_state_dict(self, state: Any) -> None:
        """Go there."""
        self.read = state["read"]


def test_a_lost_shuffle_buffer_is_found() -> None:
    """The message names the samples that stood in it."""
    with pytest.raises(
        AssertionError, match="stopped after 0 of 24 .*: 7 samples did not come: 0,"
    ):
        assert_exact_resume(LosesItsBuffer, range(COUNT), lambda one: [one])


def test_a_buffer_that_is_filled_again_is_found() -> None:
    """From the samples that were given: those come twice."""

    class FillsAgain(LosesItsBuffer):
        def state_dict(self) -> dict[str, Any]:
            return {"read": max(0, self.read - 9)}

    with pytest.raises(AssertionError, match="1 sample came more than once: 5"):
        assert_exact_resume(FillsAgain, range(COUNT), lambda one: [one])


def test_a_sample_that_does_not_exist_is_found() -> None:
    """It is neither lost nor repeated."""

    class Adds(Exact):
        def __iter__(self) -> Iterator[int]:
            yield from super().__iter__()
            yield COUNT

    with pytest.raises(AssertionError, match="1 sample came that do not exist: 24"):
        assert_exact_resume(Adds, range(COUNT), lambda one: [one])


def test_the_message_names_few_samples() -> None:
    """Whole data sets may be lost."""

    class Empty(Exact):
        def __iter__(self) -> Iterator[int]:
            return iter(())

    with pytest.raises(AssertionError, match=r": 24 samples did not come: 0, 1, .*, 9 \.\.\.$"):
        assert_exact_resume(Empty, range(COUNT), lambda one: [one])


class Empty(Exact):
    """Gives nothing, and says that all is gone."""

    def __iter__(self) -> Iterator[int]:
        self.gone = COUNT
        return iter(())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topologies": []}, "there are no topologies: nothing would be checked"),
        ({"topologies": [1, {"ranks": 0}]}, "topology {'ranks': 0} has no ranks"),
        ({"samples": iter(())}, "there are no samples"),
        ({"max_stops": 0}, "max_stops=0: at least 1, or None, is needed"),
    ],
)
def test_what_would_check_nothing_is_refused(arguments: dict[str, Any], message: str) -> None:
    """It would pass whatever the loader does."""
    arguments = {"samples": range(COUNT), "samples_of": lambda sample: [sample], **arguments}
    with pytest.raises(ValueError, match=message):
        assert_exact_resume(Forgetful, **arguments)


def test_a_loader_that_gives_nothing_is_found() -> None:
    """Also where everything may be dropped."""
    with pytest.raises(AssertionError, match="on 1 rank rank 0 has no batch"):
        assert_exact_resume(Empty, range(COUNT), lambda sample: [sample], max_dropped=COUNT)
