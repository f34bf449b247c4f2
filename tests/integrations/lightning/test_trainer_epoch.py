"""TrainerEpoch: when loaders begin their next epoch, by what a Trainer's loops count.

How Lightning's loops count is tested with them, in test_data_module.py.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch  # noqa: F401 - the loaders need it

from aisio.integrations.lightning.trainer_epoch import TrainerEpoch, trained_batches
from aisio.training.loader import Loader


def trainer(processed: int = 0, *, ready: int = 0, ckpt_path: str | None = None) -> Any:
    """Return what is used of a Trainer; it resumes if it has a checkpoint."""
    batches = SimpleNamespace(ready=ready)
    total = SimpleNamespace(ready=ready + 31, processed=ready + 30)
    is_resuming = ckpt_path is not None
    progress = SimpleNamespace(current=batches, total=total)
    epoch_loop = SimpleNamespace(batch_progress=progress, restarting=is_resuming)
    fit_loop = SimpleNamespace(
        epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=processed)),
        epoch_loop=epoch_loop,
        is_resuming=is_resuming,
    )
    return SimpleNamespace(fit_loop=fit_loop, ckpt_path=ckpt_path)


def begun(taken: int) -> Loader:
    """Return a loader of six batches, of which some were received."""
    loader = Loader(range(24), 4)
    batches = iter(loader)
    for _ in range(taken):
        next(batches)
    return loader


def test_it_begins_at_the_epoch_of_the_trainer() -> None:
    """And counts on from there."""
    epoch, loader = TrainerEpoch("Data"), begun(2)
    epoch.begin(trainer(3), [loader])
    assert (epoch.number, loader.epoch) == (3, 3)
    epoch.follow(trainer(3), [loader])
    assert loader.epoch == 3
    next(iter(loader))
    epoch.follow(trainer(4), [loader])
    assert (epoch.number, loader.epoch) == (4, 4)


def test_an_epoch_in_which_nothing_was_received_is_not_skipped() -> None:
    """Lightning counts one twice that was resumed at its end."""
    epoch, loader = TrainerEpoch("Data"), begun(0)
    epoch.follow(trainer(1), [loader])
    epoch.follow(trainer(2), [loader])
    assert (epoch.number, loader.epoch) == (2, 0)


def test_loaders_that_are_cycled_have_numbers_of_their_own() -> None:
    """Each goes to its next epoch."""
    epoch, loaders = TrainerEpoch("Data"), [begun(2), begun(3)]
    loaders[1].set_epoch(5)
    next(iter(loaders[1]))
    epoch.follow(trainer(1), loaders)
    assert [loader.epoch for loader in loaders] == [1, 6]


def test_a_restored_place_is_kept_until_the_trainer_has_restored_its_own() -> None:
    """It asks for the loaders before, to estimate its steps."""
    epoch, loader = TrainerEpoch("Data"), begun(2)
    state = loader.state_dict()
    epoch.restore(4)
    epoch.follow(trainer(0), [loader])
    epoch.follow(trainer(4, ready=2, ckpt_path="x"), [loader])
    assert (epoch.number, loader.state_dict()) == (4, state)
    epoch.follow(trainer(5), [loader])
    assert loader.epoch == 1


@pytest.mark.parametrize(("ready", "is_restarting"), [(5, False), (6, True)])
def test_batches_of_an_epoch_that_has_ended_are_not_of_the_next(
    ready: int, is_restarting: bool
) -> None:
    """Lightning notices that itself only where the next has no more of them."""
    epoch, loader = TrainerEpoch("Data"), begun(6)
    epoch.restore(0)
    epoch.follow(trainer(0, ready=ready, ckpt_path="x"), [loader])
    resumed = trainer(1, ready=ready, ckpt_path="x")
    epoch.follow(resumed, [loader])
    assert resumed.fit_loop.epoch_loop.restarting is is_restarting


def test_a_checkpoint_without_a_state_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Once: otherwise samples would come twice, or not at all, and nobody knew."""
    epoch, loader = TrainerEpoch("Data"), begun(0)
    epoch.begin(trainer(0), [loader])
    with caplog.at_level(logging.WARNING, "aisio.lightning"):
        for _ in range(2):
            epoch.follow(trainer(2, ckpt_path="x"), [loader])
    assert (loader.epoch, len(caplog.messages)) == (2, 1)
    assert "the checkpoint has no state of this Data" in caplog.messages[0]


def test_batches_are_counted_when_their_step_has_ended() -> None:
    """Over all epochs."""
    assert trained_batches(trainer(2, ready=3)) == 33
