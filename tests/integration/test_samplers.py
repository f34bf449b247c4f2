"""Batches by bytes, on a server: as those of the official class."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

from aistore.pytorch import AISMapDataset as OfficialMapDataset
from aistore.pytorch import DynamicBatchSampler as OfficialSampler
from torch.utils.data import DataLoader

from aisio import AISMapDataset, Bucket, DynamicBatchSampler


def test_ais_18_batches_are_the_official_ones(bucket: Bucket, sdk_client: Any) -> None:
    """Of the same objects and arguments; the dataset may be theirs, too."""
    numbers = random.Random(1)
    for number in range(40):
        data = bytes(numbers.choice([0, 100, 250, 333, 500, 1000, 1200]))
        bucket.object(f"{number:02d}").put(data)
    theirs = OfficialMapDataset(ais_source_list=sdk_client.bucket(bucket.name))
    ours = AISMapDataset(bucket)
    for limit, drop, oversized in product([333, 1000, 2500.5], [False, True], [False, True]):
        expected = list(OfficialSampler(theirs, limit, drop, oversized))
        for dataset in (ours, theirs):
            sampler = DynamicBatchSampler(dataset, limit, drop, oversized)
            assert list(sampler) == expected
            assert len(sampler) == len(expected)


def test_sizes_take_no_request(bucket: Bucket) -> None:
    """Those of the listing are enough; a loader then reads each object once."""
    for number in range(6):
        bucket.object(f"{number}").put(bytes(100))
    dataset = AISMapDataset(bucket)
    sampler = DynamicBatchSampler(dataset, 250)
    assert len(sampler) == 3
    assert dataset.stats()["requests"] == 0
    assert [list(names) for names, _ in DataLoader(dataset, batch_sampler=sampler)] == [
        ["0", "1"],
        ["2", "3"],
        ["4", "5"],
    ]
