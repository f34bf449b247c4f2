"""Shards by their index, and a Loader that shuffles and goes on, on a server."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch  # noqa: F401 - the datasets need it
from click.testing import CliRunner

from aisio import AISMapDataset, AISShardDataset, AISShardReader, Bucket, IntegrityError, Loader
from aisio.cli import main
from tests.tars import pack

SHARDS, SAMPLES = 4, 25
EVERY = [f"{shard}/{sample:03d}" for shard in range(SHARDS) for sample in range(SAMPLES)]


def shard(number: int, first: bytes = b"") -> bytes:
    """Return a shard of samples of two fields, the first of which may begin otherwise."""
    members: list[tuple[str, bytes]] = []
    for sample in range(SAMPLES):
        key = f"{number}/{sample:03d}"
        data = (first if not sample else b"") + key.encode() * 2000
        members += [(f"{key}.bin", data), (f"{key}.cls", str(sample).encode())]
    return pack(*members)


@pytest.fixture
def shards(bucket: Bucket, monkeypatch: Any, tmp_path: Any) -> str:
    """Return the URL of shards in a bucket; the cache is of the test's own."""
    monkeypatch.setenv("AISIO_CACHE_DIR", str(tmp_path / "cache"))
    for number in range(SHARDS):
        bucket.object(f"train/{number}.tar").put(shard(number))
    return f"{bucket.url}train/" if str(bucket.url).endswith("/") else f"{bucket.url}/train/"


def command(endpoint: str, *arguments: str) -> Any:
    """Run `aisio`."""
    return CliRunner().invoke(main, ["-e", endpoint, *arguments])


def test_index_and_verify(shards: str, bucket: Bucket, endpoint: str) -> None:
    """The index lies beside the shards; what differs from it is named."""
    done = command(endpoint, "index", shards)
    assert (done.exit_code, done.stdout) == (0, f"{shards}.aisio-index\n"), done.output
    reader = AISShardReader(shards, client=bucket.client, full_key=True)
    assert reader.count() == len(EVERY)
    assert [key for key, _ in reader] == EVERY
    assert command(endpoint, "verify", shards).exit_code == 0
    bucket.object("train/2.tar").put(shard(2, b"*"))
    done = command(endpoint, "verify", shards)
    assert done.exit_code == 1
    assert "2/000" in done.stdout


def test_samples_by_number_and_name(shards: str, bucket: Bucket) -> None:
    """Each by a ranged request, the same as the reader's."""
    dataset = AISShardDataset(shards, client=bucket.client, full_key=True)
    expected = list(AISShardReader(shards, client=bucket.client, full_key=True))
    assert list(dataset.names) == EVERY
    assert [dataset[number] for number in (0, 30, -1)] == [expected[n] for n in (0, 30, -1)]
    assert dataset.__getitems__([7, 6, 99, 50]) == [expected[n] for n in (7, 6, 99, 50)]
    assert dataset.by_name("3/024") == expected[-1]


def test_a_shard_that_was_replaced_is_refused(shards: str, bucket: Bucket) -> None:
    """Its samples are not those of the index."""
    dataset = AISShardDataset(shards, client=bucket.client)
    bucket.object("train/1.tar").put(shard(1, b"*"))
    with pytest.raises(IntegrityError, match=r"1\.tar"):
        dataset[SAMPLES]


@pytest.mark.parametrize("by_packs", [True, False])
def test_a_loader_goes_on_with_other_workers(
    shards: str, bucket: Bucket, *, by_packs: bool
) -> None:
    """Each sample comes once, and the next epoch is whole."""
    if by_packs:
        dataset: Any = AISShardDataset(shards, client=bucket.client, full_key=True, keys=["cls"])
    else:
        for key in EVERY:
            bucket.object(f"objects/{key}").put(key.encode())
        dataset = AISMapDataset(shards.replace("train/", "objects/"), client=bucket.client)
    received: list[str] = []
    first = Loader(dataset, 4, shuffle=True, seed=3, num_workers=2, equalize="none")
    batches = iter(first)
    for _ in range(7):
        received += next(batches)[0]
    state = json.dumps(first.state_dict())
    del batches, first
    second = Loader(dataset, 6, shuffle=True, seed=3, equalize="none")
    second.load_state_dict(json.loads(state))
    for names, _ in second:
        received += names
    assert sorted(name.removeprefix("objects/") for name in received) == EVERY
    assert received != sorted(received)
    later = [name.removeprefix("objects/") for names, _ in second for name in names]
    assert sorted(later) == EVERY
