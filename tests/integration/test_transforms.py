"""Pipelines and mixes on a server: chains, states, shares."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it
from torch.utils.data import DataLoader

from aisio import (
    AISIterDataset,
    AISMapDataset,
    AISShardDataset,
    AISShardReader,
    Bucket,
    Loader,
    mix,
)
from tests.tars import pack

SHARDS, SAMPLES = 4, 25


def number_of(item: Any) -> int:
    """Return the number of an object or a tuple."""
    return int(item[-1])


@pytest.fixture
def filled(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """Return a bucket with shards and as many objects; the cache is of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    for shard in range(SHARDS):
        numbers = range(shard * SAMPLES, (shard + 1) * SAMPLES)
        members = [(f"{number:03}.cls", b"%d" % number) for number in numbers]
        bucket.object(f"shards/{shard}.tar").put(pack(*members))
        for number in numbers:
            bucket.object(f"objects/{number:03}.cls").put(b"%d" % number)
    return bucket


def datasets(bucket: Bucket) -> dict[str, Any]:
    """Return pipelines of numbers over shards and over objects."""
    shards = AISShardReader(bucket, {bucket: "shards/"}).shuffle(20, seed=1).to_tuple("cls")
    objects = AISIterDataset(bucket, {bucket: "objects/"}).shuffle(seed=1)
    return {"shards": shards.map(number_of), "objects": objects.map(number_of)}


@pytest.mark.parametrize("kind", ["shards", "objects"])
def test_a_chain_reads_everything_once_and_goes_on(filled: Bucket, kind: str) -> None:
    """With workers, and from a state."""
    every = list(range(SHARDS * SAMPLES))
    loader = DataLoader(datasets(filled)[kind], batch_size=None, num_workers=2)
    epochs = [list(map(int, loader)) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [every, every]
    assert epochs[0] != epochs[1]
    first = iter(datasets(filled)[kind])
    seen = list(islice(first, 37))
    second = iter(datasets(filled)[kind])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert sorted(seen + list(second)) == every


def test_a_mix_has_its_shares_and_goes_on(filled: Bucket) -> None:
    """Of a bucket's shards and objects, on other ranks."""
    objects = AISMapDataset(filled, {filled: "objects/"}).map(number_of)
    shards = AISShardDataset(filled, {filled: "shards/"}).to_tuple("cls").map(number_of)
    both = mix({objects: 1, shards.map(negative): 3}, on_end="drop")
    loader = Loader(both, 8, shuffle=True, num_workers=2, equalize="none")
    seen = [batch.tolist() for batch in islice(loader, 4)]
    assert [sum(number >= 0 for number in batch) for batch in seen] == [2] * 4
    found = [number for batch in seen for number in batch]
    for rank in range(3):
        own = Loader(both, 4, shuffle=True, equalize="none", ranks=(rank, 3))
        own.load_state_dict(loader.state_dict())
        found += [number for batch in own for number in batch.tolist()]
    assert sorted(found) == list(range(-SHARDS * SAMPLES, SHARDS * SAMPLES))


def negative(number: int) -> int:
    """Return another number, below 0."""
    return -1 - number
