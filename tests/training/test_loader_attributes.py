"""What tools look for at a DataLoader: trainers set the epoch there, and none reads by it."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader

from aisio.errors import ConfigError
from aisio.training.loader import Loader


def test_trainers_set_the_epoch_at_it() -> None:
    """As at the sampler of torch's loader, and at the sampler of its batch sampler."""
    loader = Loader(range(40), 4, shuffle=True)
    loader.sampler.set_epoch(3)
    assert loader.epoch == 3
    loader.batch_sampler.set_epoch(4)
    assert loader.epoch == 4
    assert not isinstance(loader.sampler, (BatchSampler, torch.utils.data.RandomSampler))


def test_a_trainer_that_counted_too_early_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    """An epoch that was resumed on another batch size has another length than the next."""
    first = Loader(range(40), 4)
    next(iter(first))
    loader = Loader(range(40), 3)
    loader.load_state_dict(first.state_dict())
    assert len(loader) == 1 + 12
    loader.sampler.set_epoch(0)
    assert not caplog.text
    next(iter(loader))
    loader.sampler.set_epoch(1)
    assert "epoch 1 has 13 batches" not in caplog.text
    loader = Loader(range(40), 6)
    loader.load_state_dict(first.state_dict())
    loader.sampler.set_epoch(1)
    assert "epoch 1 has 6 batches, and the one that was resumed" in caplog.text


def test_nobody_reads_by_it() -> None:
    """It would be without the Loader, whose state would stand still."""
    loader = Loader(range(40), 4)
    with pytest.raises(ConfigError, match="To go on in the middle of an epoch, load the Loader's"):
        list(DataLoader(loader.dataset, batch_sampler=loader.batch_sampler))
    with pytest.raises(AttributeError, match="leave out the call that prepares it"):
        loader.worker_init_fn  # noqa: B018
    with pytest.raises(TypeError, match="<LoaderSampler> gives no indices"):
        len(loader.sampler)


def test_attributes_are_those_of_the_dataloader_underneath() -> None:
    """A trainer prints them, or copies them."""
    loader = Loader(range(40), 4, num_workers=2, prefetch_factor=3, persistent_workers=True)
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers) == (2, 3, True)
    assert (loader.batch_size, loader.drop_last, loader.pin_memory) == (4, True, False)
    assert not Loader(range(40), equalize="pad").drop_last
    collate = Loader(range(40), collate_fn=sorted).collate_fn
    assert collate is sorted
