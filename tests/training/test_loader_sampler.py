"""LoaderSampler: trainers set the epoch there, and no tool reads by it."""

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


def test_nobody_reads_by_it() -> None:
    """It would be without the Loader, whose state would stand still."""
    loader = Loader(range(40), 4)
    with pytest.raises(ConfigError, match="To go on in the middle of an epoch, load the Loader's"):
        list(DataLoader(loader.dataset, batch_sampler=loader.batch_sampler))
    with pytest.raises(TypeError, match="<LoaderSampler> gives no indices"):
        len(loader.sampler)
