"""Epochs that workers count."""

from __future__ import annotations

import multiprocessing
import pickle
from multiprocessing.queues import SimpleQueue
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from aisio.errors import ConfigError
from aisio.training.begun_epochs import BegunEpochs


def test_each_process_counts_its_own(in_worker: Any) -> None:
    """From 0, or from the epoch that was set: the trainer as well as each of its workers."""
    epochs = BegunEpochs()
    assert [epochs.begin(), epochs.begin()] == [0, 1]
    in_worker(0, 4)
    assert epochs.begin() == 0
    in_worker(3, 4)
    assert epochs.begin() == 0
    epochs.set(7)
    assert [epochs.begin(), epochs.begin()] == [7, 8]
    epochs.continue_from(2)
    assert epochs.begin() == 3
    in_worker(0, 4)
    assert epochs.begin() == 7
    with pytest.raises(ConfigError, match="epoch"):
        epochs.set(-1)


def test_a_copy_begins_at_the_first_epoch() -> None:
    """It does not count with the original."""
    epochs = BegunEpochs()
    epochs.set(4)
    epochs.begin()
    copy = pickle.loads(pickle.dumps(epochs))
    assert [copy.begin(), copy.begin(), epochs.begin()] == [4, 5, 5]


class Begun(Dataset[int]):
    """Its only item is the epoch that the worker begins."""

    def __init__(self, epochs: BegunEpochs) -> None:
        self.epochs = epochs

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return self.epochs.begin()


def train(epochs: BegunEpochs, numbers: SimpleQueue[Any]) -> None:
    """Begin two iterations in this process, and three in workers, one of an epoch that is set."""
    numbers.put([epochs.begin(), epochs.begin()])
    loader = DataLoader(
        Begun(epochs), batch_size=None, num_workers=1, multiprocessing_context="fork"
    )
    begun = [int(number) for _ in range(2) for number in loader]
    epochs.set(9)
    numbers.put([*begun, *map(int, loader)])


@pytest.mark.parametrize(("method", "ranks"), [("fork", 2), ("forkserver", 1)])
def test_ranks_that_were_given_it_count_for_themselves(method: str, ranks: int) -> None:
    """And so do their workers: ranks that read the same would otherwise be at other epochs."""
    context: Any = multiprocessing.get_context(method)
    epochs, numbers = BegunEpochs(), context.SimpleQueue()
    epochs.set(5)
    for _ in range(ranks):
        rank = context.Process(target=train, args=(epochs, numbers))
        rank.start()
        assert [numbers.get(), numbers.get()] == [[5, 6], [5, 6, 9]]
        rank.join()
    assert epochs.begin() == 5
