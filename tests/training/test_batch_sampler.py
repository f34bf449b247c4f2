"""SizedBatchSampler: ranks, epochs and state of the samplers by size."""

from __future__ import annotations

import json
import logging
import pickle
from collections import Counter
from itertools import chain, islice
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from aisio import BucketBatchSampler, DynamicBatchSampler
from aisio.errors import ConfigError
from aisio.training.batch_sampler import SizedBatchSampler

COUNT = 50
DATASET = TensorDataset(torch.arange(COUNT))
SIZES = [1 + index * 7 % 13 for index in range(COUNT)]


def dynamic(**options: Any) -> SizedBatchSampler:
    """Return a sampler of batches that differ in length."""
    return DynamicBatchSampler(DATASET, 20, **{"sizes": SIZES, "shuffle": True, **options})


def bucket(**options: Any) -> SizedBatchSampler:
    """Return a sampler of batches of three."""
    return BucketBatchSampler(DATASET, 3, **{"sizes": SIZES, "num_buckets": 5, **options})


KINDS = pytest.mark.parametrize("make", [dynamic, bucket])


def samples(batches: Any) -> Counter[int]:
    """Count how often each sample is in some batches."""
    return Counter(index for batch in batches for index in batch)


@KINDS
@pytest.mark.parametrize("equalize", ["drop", "pad", "none"])
@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_ranks_share_the_batches(make: Any, equalize: Any, ranks: int) -> None:
    """Each has as many, by its length as well; without "none" none is lost or comes twice."""
    samplers = [make(ranks=(rank, ranks), equalize=equalize) for rank in range(ranks)]
    lengths = [len(sampler) for sampler in samplers]
    batches = [list(sampler) for sampler in samplers]
    assert lengths == list(map(len, batches))
    assert max(lengths) - min(lengths) <= (equalize == "none")
    found = samples(chain.from_iterable(batches))
    if equalize == "drop":
        assert set(found.values()) == {1}
    else:
        assert len(found) == COUNT
    whole = list(make(ranks=None))
    assert {str(batch) for batch in chain.from_iterable(batches)} <= {str(batch) for batch in whole}


@KINDS
def test_too_few_batches_for_the_ranks_are_an_error(make: Any) -> None:
    """All would be left out; padding gives each rank one. So is no batch at all."""
    with pytest.raises(ConfigError, match="for 99 ranks: none would be left"):
        next(iter(make(ranks=(0, 99))))
    assert len(list(make(ranks=(98, 99), equalize="pad"))) == 1
    empty = DynamicBatchSampler([1, 2], 1, sizes=[2, 2], equalize="none")
    with pytest.raises(ConfigError, match="2 samples make 0 batches"):
        list(empty)


@KINDS
def test_epochs_count_by_themselves(make: Any) -> None:
    """One that is left early ends, too; set_epoch changes nothing where it is named already."""
    sampler = make()
    first = list(sampler)
    assert sampler.epoch == 1
    sampler.set_epoch(0)
    assert list(islice(sampler, 3)) == first[:3]
    assert sampler.epoch == 0
    second = list(sampler)
    assert (sampler.epoch, second != first) == (2, True)
    sampler.set_epoch(1)
    next(iter(sampler))
    sampler.set_epoch(1)
    assert list(sampler) == second
    with pytest.raises(ConfigError, match="epoch=-1"):
        sampler.set_epoch(-1)


def test_the_length_stays_until_the_next_epoch_begins() -> None:
    """A DataLoader takes the last batches ahead, while its trainer counts up to the length."""
    sampler = dynamic(sizes=[1 + index * 7 % 19 for index in range(COUNT)])
    lengths = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        before = len(sampler)
        iteration = iter(sampler)
        assert len(sampler) == before
        lengths.append(len(list(iteration)))
        assert len(sampler) == before == lengths[-1]
        assert sampler.epoch == epoch + 1
    assert len(set(lengths)) > 1
    next(iter(sampler))
    sampler.set_epoch(1)
    assert len(sampler) == lengths[1]


@KINDS
def test_only_the_newest_iteration_moves_the_state(make: Any) -> None:
    """An older one gives its own batches to its end, as an iteration of a list does."""
    sampler = make()
    old = iter(sampler)
    next(old)
    new = iter(sampler)
    next(new)
    state = sampler.state_dict()
    assert state["epoch"] == 1
    list(old)
    assert sampler.state_dict() == state


@KINDS
@given(
    seed=st.integers(0, 5),
    stops=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), max_size=3),
    ranks=st.integers(1, 4),
)
@settings(max_examples=25)
def test_a_job_goes_on_with_other_ranks(
    make: Any, seed: int, stops: list[tuple[int, int]], ranks: int
) -> None:
    """Exactly, over any number of restarts: none is lost but the few that make no round."""
    received: list[list[int]] = []
    total = len(make(seed=seed, ranks=None))
    state = make(seed=seed).state_dict()
    for each, steps in [*stops, (ranks, total)]:
        samplers = [make(ranks=(rank, each), seed=seed) for rank in range(each)]
        for sampler in samplers:
            sampler.load_state_dict(json.loads(json.dumps(state)))
        left = len(samplers[0]) - sum(batches for _, batches in state["segments"])
        for sampler in samplers:
            batches = list(islice(sampler, min(steps, left)))
            assert len(batches) == min(steps, left)
            received += batches
        [state] = {str(one.state_dict()): one.state_dict() for one in samplers}.values()
    assert set(samples(received).values()) <= {1}
    assert 0 <= total - len(received) < ranks


@KINDS
def test_the_same_ranks_go_on_as_without_the_stop(make: Any) -> None:
    """The batches are those that would have come; also of the next epoch."""
    whole = make(ranks=(1, 2))
    expected = [list(whole), list(whole)]
    first = make(ranks=(1, 2))
    assert list(islice(first, 4)) == expected[0][:4]
    second = pickle.loads(pickle.dumps(make(ranks=(1, 2))))
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    assert len(second) == len(expected[0])
    second.set_epoch(0)
    assert list(second) == expected[0][4:]
    assert list(second) == expected[1]
    assert len(json.dumps(first.state_dict())) < 300


@KINDS
def test_a_state_of_something_else_is_refused(make: Any, caplog: Any) -> None:
    """The sampler stays where it is; the seed is that of the state."""
    sampler = make()
    next(iter(sampler))
    state = sampler.state_dict()
    changes: list[tuple[Any, str]] = [
        ({"version": 9}, "version 9: update aisio"),
        ({"rule": "Other()"}, "the state is of another sampler: 'Other"),
        ({"data": "1 sizes"}, "the state is of other data: '1 sizes'"),
        ({"seed": None}, "seed=None"),
        ({"epoch": -1}, "epoch=-1"),
        ({"segments": [[1]]}, "segments .* are damaged"),
        ({"segments": 7}, "segments 7 are damaged"),
        ({"segments": [[1, 0]]}, "batches=0"),
    ]
    for change, message in changes:
        with pytest.raises(ConfigError, match=message):
            sampler.load_state_dict(state | change)
    nothings: list[Any] = [{}, None, []]
    for nothing in nothings:
        with pytest.raises(ConfigError, match="no state of a"):
            sampler.load_state_dict(nothing)
    assert sampler.state_dict() == state
    sampler.load_state_dict(state | {"segments": [[1, 999]]})
    with pytest.raises(ConfigError, match="999 batches were received, and there are"):
        next(iter(sampler))
    other = make(seed=3)
    with caplog.at_level(logging.WARNING, logger="aisio.samplers"):
        other.load_state_dict(state)
    assert "seed=0 is that of the state" in caplog.text
    assert other.state_dict() == state
