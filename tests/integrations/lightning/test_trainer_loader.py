"""TrainerLoader and EvaluationLoader: what Lightning asks of a loader, beyond a Loader."""

from __future__ import annotations

import pickle
from itertools import islice
from typing import Any

import pytest
import torch

from aisio.integrations.lightning.trainer_loader import EvaluationLoader, TrainerLoader
from aisio.training.loader import Loader


class Step:
    """Tells a loader whether a training step is going on."""

    def __init__(self) -> None:
        self.goes_on = False

    def __call__(self) -> bool:
        """Return it."""
        return self.goes_on


def loader(step: Step | None = None, batch_size: int = 4) -> TrainerLoader:
    """Return a loader of 12 samples."""
    return TrainerLoader(step or Step(), range(12), batch_size, shuffle=True, seed=1)


def batches(of: Loader) -> list[list[int]]:
    """Return the batches of an epoch."""
    return [batch.tolist() for batch in of]


WHOLE = batches(Loader(range(12), 4, shuffle=True, seed=1))


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_batch_whose_step_has_not_ended_is_before_the_state(taken: int) -> None:
    """Also the first one, and behind a restart with another batch size."""
    step = Step()
    of = loader(step)
    assert len(list(islice(of, taken))) == taken
    ended = of.state_dict()
    step.goes_on = True
    again = loader()
    again.load_state_dict(of.state_dict())
    assert batches(again) == WHOLE[taken - 1 :]
    step.goes_on = False
    assert of.state_dict() == ended


def test_a_step_without_a_batch_of_the_loader_changes_nothing() -> None:
    """As where a state was loaded and nothing was received since."""
    step = Step()
    step.goes_on = True
    of = loader(step)
    assert of.state_dict() == loader().state_dict()
    state = Loader(range(12), 4, shuffle=True, seed=1)
    next(iter(state))
    of.load_state_dict(state.state_dict())
    assert of.state_dict() == state.state_dict()


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
