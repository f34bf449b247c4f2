"""Fifty cut-short epochs leave descriptors, threads and memory as they were. Counts, no clocks."""

from __future__ import annotations

import gc
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper

import aisio.datapipes  # noqa: F401 - registers the functional names
from aisio import AISIterDataset, AISMapDataset, AISShardReader, Client
from aisio.client import Bucket
from aisio.gateway import Gateway

EPOCHS = 50
GROWTH_BYTES = 8 * 1024 * 1024
"""What memory may vary by; an epoch that kept its objects would add 100 MB over the fifty."""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Return a bucket with thirty objects of 100 KB and four shards of 2 MB."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        bucket = Client(gateway.endpoint).bucket("soak").create()
        for number in range(30):
            bucket.object(f"objects/{number:02d}").put(bytes(100_000))
        for number in range(4):
            bucket.object(f"shards/{number}.tar").put(make_shard())
        yield bucket


def make_shard() -> bytes:
    """Return a shard of twenty samples of 100 KB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(20):
            member = tarfile.TarInfo(f"{number:02d}.bin")
            member.size = 100_000
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def objects(bucket: Bucket) -> Iterator[Any]:
    """Read objects one after the other."""
    return iter(AISIterDataset(f"{bucket.url}/objects/", client=bucket.client))


def batches(bucket: Bucket) -> Iterator[Any]:
    """Read objects a batch at a time."""
    dataset = AISMapDataset(f"{bucket.url}/objects/", client=bucket.client)
    return iter(DataLoader(dataset, batch_size=5))


def samples(bucket: Bucket) -> Iterator[Any]:
    """Read shards."""
    return iter(AISShardReader(f"{bucket.url}/shards/", client=bucket.client))


def streams(bucket: Bucket) -> Iterator[Any]:
    """Open streams and read a little of each."""
    urls = IterableWrapper([f"{bucket.url}/objects/"]).ais_list_files(url=bucket.client.endpoint)
    for _, stream in urls.ais_load_files(url=bucket.client.endpoint):
        yield stream.read(10)


def seekable(bucket: Bucket) -> Iterator[Any]:
    """Open seekable files and leave them."""
    for number in range(30):
        file = bucket.object(f"objects/{number:02d}").open()
        file.seek(5000)
        yield file.read(10)


def in_workers(bucket: Bucket) -> Iterator[Any]:
    """Read shards in worker processes."""
    return iter(
        DataLoader(AISShardReader(f"{bucket.url}/shards/", client=bucket.client), num_workers=1)
    )


def held() -> tuple[int, int, int]:
    """Return how many descriptors and threads this process has, and its resident bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), pages * 4096


@pytest.mark.parametrize("read", [objects, batches, samples, streams, seekable])
def test_cut_short_epochs_leave_nothing_behind(
    bucket: Bucket, read: Callable[[Bucket], Iterator[Any]]
) -> None:
    """Whoever stops in the middle of an epoch loses neither descriptor nor thread nor memory."""
    for _ in range(5):
        next(read(bucket))
    descriptors, threads, resident = held()
    for _ in range(EPOCHS):
        epoch = read(bucket)
        next(epoch)
        next(epoch)
        del epoch
    after = held()
    assert after[:2] == (descriptors, threads)
    assert after[2] - resident < GROWTH_BYTES


def test_cut_short_epochs_in_workers_leave_nothing_behind(bucket: Bucket) -> None:
    """Worker processes end with their epoch, and what the parent opened for them is closed."""
    for _ in range(2):
        next(in_workers(bucket))
    before = held()[:2]
    for _ in range(10):
        next(in_workers(bucket))
    assert held()[:2] == before
