"""Epochs that workers count."""

from __future__ import annotations

import multiprocessing
import pickle
from multiprocessing.queues import SimpleQueue
from typing import Any

import pytest
import torch  # noqa: F401

from aisio.errors import ConfigError
from aisio.training.begun_epochs import BegunEpochs


def test_each_worker_counts_its_own() -> None:
    """From 0, or from the epoch that was set."""
    epochs = BegunEpochs()
    assert [epochs.begin(0), epochs.begin(0), epochs.begin(3)] == [0, 1, 0]
    epochs.set(7)
    assert [epochs.begin(3), epochs.begin(0), epochs.begin(3)] == [7, 7, 8]
    epochs.go_on_from(3, 2)
    assert [epochs.begin(3), epochs.begin(0)] == [3, 8]
    with pytest.raises(ConfigError, match="epoch"):
        epochs.set(-1)


def test_a_copy_begins_at_the_first_epoch() -> None:
    """It does not count with the original."""
    epochs = BegunEpochs()
    epochs.set(4)
    epochs.begin(0)
    copy = pickle.loads(pickle.dumps(epochs))
    assert [copy.begin(0), copy.begin(0), epochs.begin(0)] == [4, 5, 5]


def begin(epochs: BegunEpochs, numbers: SimpleQueue[Any]) -> None:
    """Begin two iterations."""
    numbers.put([epochs.begin(0), epochs.begin(0)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_rank_that_was_given_it_counts_for_itself(method: str) -> None:
    """Otherwise ranks on one machine would count together."""
    context: Any = multiprocessing.get_context(method)
    epochs, numbers = BegunEpochs(), context.SimpleQueue()
    for _ in range(2):
        rank = context.Process(target=begin, args=(epochs, numbers))
        rank.start()
        assert numbers.get() == [0, 1]
        rank.join()
    assert epochs.begin(0) == 0
