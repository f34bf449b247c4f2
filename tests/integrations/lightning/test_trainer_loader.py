"""TrainerLoader and EvaluationLoader: what Lightning asks of a loader, beyond a Loader."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from aisio.integrations.lightning.trainer_loader import EvaluationLoader, TrainerLoader
from aisio.training.loader import Loader


class Steps:
    """Counts the steps of a training."""

    def __init__(self) -> None:
        self.ended = 0

    def __call__(self) -> int:
        """Return how many have ended."""
        return self.ended


def loader(steps: Steps | None = None) -> TrainerLoader:
    """Return a loader of 12 samples."""
    return TrainerLoader(steps or Steps(), range(12), 4, shuffle=True, seed=1)


def batches(of: Loader) -> list[list[int]]:
    """Return the batches of an epoch."""
    return [batch.tolist() for batch in of]


WHOLE = batches(Loader(range(12), 4, shuffle=True, seed=1))


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_a_batch_that_was_not_trained_with_is_before_the_state(trained: int) -> None:
    """Until its step has ended."""
    steps = Steps()
    of = loader(steps)
    received = iter(of)
    for _ in range(trained):
        next(received)
        steps.ended += 1
    assert next(received).tolist() == WHOLE[trained]
    again = loader()
    again.load_state_dict(of.state_dict())
    assert batches(again) == WHOLE[trained:]
    steps.ended += 1
    again.load_state_dict(of.state_dict())
    assert batches(again) == WHOLE[trained + 1 :]


def test_a_loader_that_gave_no_batch_in_a_step_is_where_it_was() -> None:
    """As one that is restored, or that has ended before others."""
    steps = Steps()
    of = loader(steps)
    assert of.state_dict() == loader().state_dict()
    for _ in of:
        steps.ended += 1
    ended = of.state_dict()
    steps.ended += 1
    assert of.state_dict() == ended
    of.load_state_dict(ended)
    assert of.state_dict() == ended


def test_a_batch_that_failed_is_read_again() -> None:
    """As by a Loader."""

    class Fails(list[int]):
        fails = True

        def __getitem__(self, index: Any) -> Any:
            if index == 1 and self.fails:
                self.fails = False
                raise OSError
            return index

    of = iter(TrainerLoader(Steps(), Fails(range(2))))
    assert next(of).tolist() == [0]
    with pytest.raises(OSError):  # noqa: PT011
        next(of)
    assert next(of).tolist() == [1]


def test_an_epoch_that_has_ended_lasts_until_the_next_begins() -> None:
    """A loader that waits for others gives nothing more, also after a restart."""
    of = loader()
    assert batches(of) == WHOLE
    again = loader()
    again.load_state_dict(of.state_dict())
    assert (batches(again), again.epoch) == ([], 1)
    for begin in (iter, TrainerLoader.end_epoch):
        of = loader()
        batches(of)
        begin(of)
        again.load_state_dict(of.state_dict())
        assert (again.epoch, len(batches(again))) == (1, 3)


def test_it_can_be_pickled_in_the_middle() -> None:
    """As Lightning's launchers do that spawn processes."""
    of = loader()
    next(iter(of))
    assert batches(pickle.loads(pickle.dumps(of))) == WHOLE[1:]


@pytest.mark.parametrize("make", [loader, lambda: EvaluationLoader(range(4))])
@pytest.mark.parametrize("name", ["sampler", "batch_sampler"])
def test_there_is_no_sampler(make: Any, name: str) -> None:
    """Lightning leaves a loader alone that has none."""
    assert not hasattr(make(), name)


class Random:
    """Samples that are random numbers."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return torch.rand(1)


def test_each_pass_of_an_evaluation_is_the_same() -> None:
    """Its workers draw the same numbers, also behind a pass that was left early."""
    of = EvaluationLoader(Random(), 2, num_workers=1)
    first = torch.cat(list(of))
    next(iter(of))
    assert torch.equal(torch.cat(list(of)), first)
