"""Batches that a pipeline makes, and a DataLoader that would batch them once more."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from aisio.errors import ConfigError
from aisio.training.made_batch import MadeBatch, MadeBatchFields, MakeBatch

ITEMS = [(torch.zeros(2), number) for number in range(3)]


@pytest.mark.parametrize("items", [ITEMS, [{"a": 1}, {"a": 2}], [("n", {"a": b"1"})]])
def test_a_second_batching_is_refused(items: list[Any]) -> None:
    """Torch's default, batch_size=1, would give each tensor one dimension more."""
    batch = MakeBatch(default_collate)(items)
    assert len(batch) == len(default_collate(items))
    with pytest.raises(ConfigError, match="batches of batches.*batch_size=None"):
        next(iter(DataLoader([batch], batch_size=1)))  # type: ignore[arg-type]
    (given,) = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
    assert type(given) is type(batch)


def test_a_second_batching_of_tuples_is_refused() -> None:
    """Which a collate function of the user has made."""
    batch = MakeBatch(tuple)([1, 2])
    assert batch == (1, 2)
    with pytest.raises(ConfigError, match="batches of batches"):
        default_collate([batch])


def test_lists_stay_lists() -> None:
    """Without a collate function; other results are what they are."""
    assert MakeBatch(None)(ITEMS) == MadeBatch(ITEMS)
    assert MakeBatch(len)(ITEMS) == 3
    assert type(pickle.loads(pickle.dumps(MadeBatchFields(a=1)))) is MadeBatchFields
