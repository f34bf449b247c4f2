"""Samplers of batches by size: which samples make a batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from aisio import (
    AISMapDataset,
    AISShardDataset,
    BucketBatchSampler,
    DynamicBatchSampler,
    ShardIndex,
)
from aisio.errors import ConfigError
from tests.indexed import local
from tests.tars import pack


class Sized:
    """A dataset that knows nothing but sizes."""

    def __init__(self, sizes: Any) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)


def dynamic(sizes: Any, limit: float, *args: Any, **options: Any) -> list[list[int]]:
    """Return the batches of an epoch."""
    sampler = DynamicBatchSampler(Sized(sizes), limit, *args, **options)
    batches = list(sampler)
    assert all(type(index) is int for batch in batches for index in batch)
    return batches


def by_hand(
    sizes: list[int], limit: int, drop_last: bool, oversized: bool, saturation: float
) -> Iterator[list[int]]:
    """Yield the batches by the rule of the official class, sample by sample."""
    batch: list[int] = []
    for index, size in enumerate(sizes):
        if size == 0:
            continue
        if size > limit:
            if oversized:
                yield [index]
            continue
        total = sum(sizes[one] for one in batch)
        if total + size > limit:
            yield batch
            batch, total = [], 0
        batch.append(index)
        if total + size == limit:
            yield batch
            batch = []
    total = sum(sizes[one] for one in batch)
    if batch and (not drop_last or total / limit > saturation):
        yield batch


def test_ais_18_the_limit_is_inclusive() -> None:
    """Two of half its size make a batch, in their order."""
    assert dynamic([1000] * 10, 2000) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert dynamic([1000] * 5, 1999) == [[0], [1], [2], [3], [4]]
    assert dynamic([600, 600, 300, 100], 1000.9) == [[0], [1, 2, 3]]


def test_ais_18_the_last_batch_is_dropped_unless_saturated() -> None:
    """By a factor from 0 to 1 of the limit, which must be exceeded."""
    assert dynamic([1000] * 10, 3000, drop_last=True) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert dynamic([500, 400], 1000, True) == [[0, 1]]
    assert dynamic([500, 300, 999], 1000, True, False, 0.999) == [[0, 1]]
    assert dynamic([500, 400, 100], 1000, True, False, 1) == [[0, 1, 2]]
    for factor in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="saturation_factor="):
            DynamicBatchSampler(Sized([1]), 1, saturation_factor=factor)


def test_ais_18_oversized_samples_are_alone_or_left_out(caplog: Any) -> None:
    """One warning says how many are left out, and which is the first."""
    assert dynamic([1000] * 3, 500, allow_oversized_samples=True) == [[0], [1], [2]]
    assert not caplog.records
    sizes = [1000] * 10 + [6000]
    assert dynamic(sizes, 3000, True, True) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [10]]
    assert not caplog.records
    assert dynamic([100, 501, 100, 502], 500) == [[0, 2]]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("aisio.samplers", logging.WARNING)
    assert record.getMessage() == (
        "<DynamicBatchSampler> leaves out 2 of 4 samples, larger than max_batch_size=500; the first"
        " is sample 1: allow_oversized_samples=True gives each as a batch of its own"
    )


def test_ais_18_empty_samples_are_left_out(tmp_path: Path, caplog: Any) -> None:
    """With a warning that names one; or they are given, as all others."""
    for name, size in (("a", 5), ("b", 0), ("c", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    dataset = AISMapDataset(tmp_path)
    assert list(DynamicBatchSampler(dataset, 10)) == [[0, 2]]
    [record] = caplog.records
    text = f"leaves out 1 of 3 samples, of size 0; the first is sample 1 ({dataset.names[1]}): "
    assert text in record.getMessage()
    assert list(DynamicBatchSampler(dataset, 10, allow_empty_samples=True)) == [[0, 1, 2]]
    assert len(caplog.records) == 1


def test_a_dataset_without_names_has_numbers(tmp_path: Path, caplog: Any) -> None:
    """What else is called `names` is not looked at."""
    index, _ = local(tmp_path, {"a.tar": pack(("0.a", b"x"), ("1.a", b"x" * 5000))})
    nameless = AISShardDataset(tmp_path, index=ShardIndex.merge([index], names=False))
    assert list(DynamicBatchSampler(nameless, 2000)) == [[0]]
    named = AISShardDataset(tmp_path, index=index)
    assert list(DynamicBatchSampler(named, 2000)) == [[0]]
    other = Sized([1, 9])
    other.names = {"train": 1}  # type: ignore[attr-defined]
    assert list(DynamicBatchSampler(other, 2)) == [[0]]
    found = [record.getMessage().partition("the first is ")[2] for record in caplog.records]
    assert [text.partition(":")[0] for text in found] == ["sample 1", "sample 1 (1)", "sample 1"]


@given(
    sizes=st.lists(st.integers(0, 12), max_size=30),
    limit=st.integers(1, 10),
    drop_last=st.booleans(),
    oversized=st.booleans(),
    saturation=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
)
def test_ais_18_batches_are_those_of_the_official_class(
    sizes: list[int], limit: int, drop_last: bool, oversized: bool, saturation: float
) -> None:
    """Whichever samples come together."""
    expected = list(by_hand(sizes, limit, drop_last, oversized, saturation))
    sampler = DynamicBatchSampler(Sized(sizes), limit, drop_last, oversized, saturation)
    assert len(sampler) == len(expected)
    if expected:
        assert list(sampler) == expected


def test_ais_18_each_epoch_is_shuffled(tmp_path: Path) -> None:
    """By seed and epoch; the length is that of the epoch."""
    sizes = [1 + index * 7 % 13 for index in range(60)]
    sampler = DynamicBatchSampler(Sized(sizes), 20, shuffle=True, seed=5)
    epochs = []
    for epoch in range(4):
        assert sampler.epoch == epoch
        sampler.set_epoch(epoch)
        expected = len(sampler)
        epochs.append(list(sampler))
        assert len(epochs[-1]) == expected
        assert sorted(chain.from_iterable(epochs[-1])) == list(range(60))
        assert all(sum(sizes[index] for index in batch) <= 20 for batch in epochs[-1])
    assert len({str(epoch) for epoch in epochs}) == 4
    again = DynamicBatchSampler(Sized(sizes), 20, shuffle=True, seed=5)
    again.set_epoch(2)
    assert list(again) == epochs[2]
    assert dynamic(sizes, 20, shuffle=True, seed=6) != epochs[0]


def test_a_data_loader_reads_the_batches(tmp_path: Path) -> None:
    """Of a dataset that lists its sizes; the loader is as long as the sampler."""
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(b"x" * 1000)
    dataset = AISMapDataset(tmp_path)
    loader = DataLoader(dataset, batch_sampler=DynamicBatchSampler(dataset, 3000), num_workers=1)
    assert len(loader) == 4
    assert [[name[-1] for name in names] for names, _ in loader] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6", "7", "8"],
        ["9"],
    ]


@pytest.mark.parametrize("limit", [0, -1, 0.5, "4MB", None, float("inf"), float("nan")])
@pytest.mark.parametrize("cls", [DynamicBatchSampler, BucketBatchSampler])
def test_a_limit_that_cannot_be_is_refused(cls: Any, limit: Any) -> None:
    """It is a number of bytes."""
    with pytest.raises(ConfigError, match=r"(max_)?batch_size="):
        cls(Sized([1, 2]), max_batch_size=limit)


def padding(sampler: BucketBatchSampler, sizes: Any) -> float:
    """Return which part of an epoch's batches is padding."""
    padded = sum(len(batch) * max(sizes[index] for index in batch) for batch in sampler)
    return float(1 - sum(sizes) / padded)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("options", [{"batch_size": 16}, {"max_batch_size": 4000}])
def test_buckets_give_little_padding(options: dict[str, Any], shuffle: bool) -> None:
    """Of sizes from 10 to 500, 40 % and more of random batches; less than 3 % of buckets."""
    sizes = np.random.RandomState(1).randint(10, 501, 4000)
    random = BucketBatchSampler(Sized(sizes), num_buckets=1, **options)
    buckets = BucketBatchSampler(Sized(sizes), shuffle=shuffle, **options)
    assert padding(random, sizes) > 0.4
    assert padding(buckets, sizes) < 0.03


@pytest.mark.parametrize("count", [1, 7, 99, 100, 101, 256])
@pytest.mark.parametrize(
    "options",
    [{"batch_size": 4}, {"batch_size": 300}, {"max_batch_size": 50}, {"max_batch_size": 7}],
)
def test_buckets_give_each_sample_once(count: int, options: dict[str, Any]) -> None:
    """In batches that keep their limit, others in each epoch."""
    sizes = [index % 8 for index in range(count)]
    sampler = BucketBatchSampler(Sized(sizes), num_buckets=10, **options)
    epochs = [list(sampler), list(sampler)]
    for batches in epochs:
        assert sorted(chain.from_iterable(batches)) == list(range(count))
        for batch in batches:
            assert 1 <= len(batch) <= options.get("batch_size", count)
            if "max_batch_size" in options:
                assert len(batch) * max(sizes[one] for one in batch) <= options["max_batch_size"]
        if "batch_size" in options:
            assert sum(len(batch) < options["batch_size"] for batch in batches) <= 1
    if count > 7:
        assert epochs[0] != epochs[1]


def test_equal_sizes_are_mixed_over_all_samples() -> None:
    """Those of one bucket are not neighbours of the dataset, nor the same in each epoch."""
    sampler = BucketBatchSampler(Sized([5] * 1000), 10, num_buckets=100)
    for _ in range(2):
        spread = [max(batch) - min(batch) for batch in sampler]
        assert sum(spread) / len(spread) > 600


def test_ranks_have_similar_sizes_at_each_step() -> None:
    """So that none waits for the one with the long samples."""
    sizes = list(range(1000))
    ranks = [list(BucketBatchSampler(Sized(sizes), 10, ranks=(rank, 4))) for rank in range(4)]
    assert sorted(chain.from_iterable(chain.from_iterable(ranks))) == sizes
    steps = [[min(batch) for batch in step] for step in zip(*ranks, strict=True)]
    assert sum(max(step) - min(step) > 60 for step in steps) <= 1
    assert [min(step) for step in steps] != sorted(min(step) for step in steps)


def test_unshuffled_buckets_ascend() -> None:
    """The same in each epoch; equal sizes keep their order."""
    sampler = BucketBatchSampler(Sized([3, 1, 2, 1, 3]), 2, shuffle=False)
    assert list(sampler) == list(sampler) == [[1, 3], [2, 0], [4]]
    assert list(BucketBatchSampler(Sized([3, 1, 2]), 2, shuffle=False, drop_last=True)) == [[1, 2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "batch_size=None, max_batch_size=None: one of them"),
        ({"batch_size": 2, "max_batch_size": 2}, "one of them"),
        ({"batch_size": 0}, "batch_size=0 is not a whole number"),
        ({"batch_size": 2, "num_buckets": 0}, "num_buckets=0"),
        ({"max_batch_size": 9, "drop_last": True}, "drop_last=True"),
        ({"max_batch_size": 2}, r"sample 2 has the size 3, and max_batch_size=2"),
        ({"batch_size": 2, "equalize": "yes"}, "equalize='yes'"),
        ({"batch_size": 2, "seed": -1}, "seed=-1"),
        ({"batch_size": 2, "ranks": (2, 2)}, "ranks="),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: Any, message: str) -> None:
    """When the sampler is made."""
    with pytest.raises(ConfigError, match=message):
        BucketBatchSampler(Sized([1, 2, 3]), **options)


def test_a_dataset_without_sizes_needs_them() -> None:
    """Lengths of texts, say."""
    dataset = TensorDataset(torch.arange(4))
    with pytest.raises(ConfigError, match="pass sizes="):
        BucketBatchSampler(dataset, 2)
    sampler = BucketBatchSampler(dataset, 2, sizes=[9, 1, 9, 1], shuffle=False)
    [first, second] = DataLoader(dataset, batch_sampler=sampler)
    assert (first[0].tolist(), second[0].tolist()) == ([1, 3], [0, 2])
