"""How well an order is shuffled, without reading a sample."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.utils.data import BatchSampler, Dataset, RandomSampler, SequentialSampler

from aisio.errors import ConfigError
from aisio.training.loader import Loader
from aisio.training.samplers import BucketBatchSampler
from aisio.training.shuffle_quality import shuffle_quality


class Unread(Dataset[int]):
    """A dataset that nobody may read."""

    def __init__(self, samples: int) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> int:
        raise AssertionError("a sample was read")


def test_the_order_of_storage():
    """Nothing moves; neighbours in storage are in one batch, but for those at its ends."""
    found = shuffle_quality(Loader(Unread(1000), batch_size=10))
    assert (found.samples, found.received, found.batches) == (1000, 1000, 100)
    assert (found.mean_move, found.moves[0], sum(found.moves)) == (0.0, 1000, 1000)
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.stored_together == 900 / 999
    assert found.stay_together == 1.0
    assert found.random_stored_together == pytest.approx(9 / 999)


def test_a_random_order():
    """Samples move by a third, and neighbours part."""
    found = shuffle_quality(Loader(Unread(20_000), batch_size=20, shuffle=True))
    assert found.mean_move == pytest.approx(1 / 3, abs=0.01)
    assert abs(found.rank_correlation) < 0.05
    assert found.stored_together < 0.01
    assert found.stay_together is not None
    assert found.stay_together < 0.01


def test_of_several_ranks_this_one():
    """A neighbour may be on another rank."""
    found = shuffle_quality(Loader(Unread(1000), batch_size=10, ranks=(1, 4)))
    assert (found.received, found.batches) == (250, 25)
    assert found.random_stay_together == pytest.approx(9 / 999 / 4)


def test_a_loader_that_is_iterated_goes_on():
    """Its epoch is looked at whole, also behind a restored state."""
    loader = Loader(torch.arange(40), batch_size=4, shuffle=True)
    batches = iter(loader)
    first = [next(batches) for _ in range(3)]
    state = loader.state_dict()
    whole = shuffle_quality(loader)
    assert whole.received == 40
    rest = list(batches)
    restored = Loader(torch.arange(40), batch_size=4, shuffle=True)
    restored.load_state_dict(state)
    assert shuffle_quality(restored) == whole
    assert restored.state_dict() == state
    assert sorted(torch.cat(first + rest).tolist()) == list(range(40))
    assert [one.tolist() for one in restored] == [one.tolist() for one in rest]


def test_batches_of_a_sampler_of_torch():
    """Iterated twice for two epochs; an iterator gives one."""
    sampler = BatchSampler(RandomSampler(range(500)), 10, drop_last=False)
    assert shuffle_quality(sampler, samples=500).stay_together is not None
    ordered = BatchSampler(SequentialSampler(range(500)), 10, drop_last=False)
    assert shuffle_quality(ordered).stay_together == 1.0
    assert shuffle_quality(iter(list(ordered))).stay_together is None


def test_neighbours_of_the_last_epoch():
    """Those of a batch that are in one batch again."""

    class Epochs:
        epochs = iter([[[0, 1], [2, 3]], [[1, 0], [2], [3]]])

        def __iter__(self):
            return iter(next(self.epochs))

    assert shuffle_quality(Epochs(), samples=4).stay_together == 0.5


def test_what_cannot_be_looked_at_is_an_error():
    """No batches, or an index that cannot be."""
    with pytest.raises(ConfigError, match="there are no batches"):
        shuffle_quality([])
    with pytest.raises(ConfigError, match="index 7 of 5 samples"):
        shuffle_quality([[0, 7]], samples=5)
    with pytest.raises(ConfigError, match="index -1"):
        shuffle_quality([[-1, 7]])


def test_the_numbers_pickle():
    """As a test of a job may send them."""
    found = shuffle_quality([[0, 1]])
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_sampler_of_aisio_stays_where_it_is() -> None:
    """A training that begins behind a look at the order has all its epochs."""
    sampler = BucketBatchSampler(range(60), 4, sizes=range(60), num_buckets=3, ranks=None)
    before = shuffle_quality(sampler)
    assert before.received == 60
    assert before.stay_together is not None
    assert before.stay_together < 1
    assert sampler.epoch == 0
    batches = iter(sampler)
    first = next(batches)
    state = sampler.state_dict()
    assert shuffle_quality(sampler) == before  # of whole epochs
    assert sampler.state_dict() == state
    assert sorted(first + [index for batch in batches for index in batch]) == [*range(60)]
