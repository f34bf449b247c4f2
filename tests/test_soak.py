"""Twenty cut-short epochs leave descriptors, threads and memory as they were. Counts, no clocks."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
from torch.utils.data import DataLoader
from torch.utils.data.datapipes.iter import IterableWrapper

import aisio.datapipes  # noqa: F401 - registers the functional names
from aisio import AISIterDataset, AISMapDataset, AISShardReader, Client
from aisio.client.client import Bucket
from aisio.gateway import Gateway

EPOCHS = 20
READERS = 8
"""Reading threads belong to the process and stay: so many may start after the first count."""

GROWTH_BYTES = 8 * 1024 * 1024
"""How much memory may vary; twenty epochs that kept their objects would add 40 MB."""


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
    return iter(AISIterDataset(f"{bucket.url}/objects/", client=bucket.client, concurrency=4))


def batches(bucket: Bucket) -> Iterator[Any]:
    """Read objects a batch at a time."""
    dataset = AISMapDataset(f"{bucket.url}/objects/", client=bucket.client, concurrency=4)
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


def loader(bucket: Bucket, **more: Any) -> DataLoader[Any]:
    """Return what reads shards in a worker process."""
    reader = AISShardReader(f"{bucket.url}/shards/", client=bucket.client)
    return DataLoader(
        reader, num_workers=1, prefetch_factor=2, multiprocessing_context="fork", **more
    )


class Usage(NamedTuple):
    """What a process uses."""

    descriptors: int
    threads: int
    children: int
    resident_bytes: int


def usage(pid: int | None = None) -> Usage:
    """Return what this process uses, or another one."""
    gc.collect()
    process = Path("/proc", str(pid or "self"))
    threads = list((process / "task").iterdir())
    pages = int((process / "statm").read_text().split()[1])
    return Usage(len(list((process / "fd").iterdir())), len(threads), len(children()), pages * 4096)


def children() -> set[int]:
    """Return the ids of the processes that this one has started, ended ones not waited for too."""
    multiprocessing.active_children()  # waits for those that have ended
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def usage_without_loaders() -> Usage:
    """Return what this process uses when it has no DataLoader any more.

    Torch ends the threads of a loader's queues, but does not wait for them.
    """
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "QueueFeederThread":
            thread.join()
            while Path(f"/proc/self/task/{thread.native_id}").exists():
                os.sched_yield()
    return usage()


def assert_flat(before: Usage, after: Usage, *, spare: int = 0) -> None:
    """Fail if the process uses more than before, `spare` threads with a connection each aside."""
    assert after.descriptors - before.descriptors <= spare
    assert after.threads - before.threads <= spare
    assert after.children == before.children
    assert after.resident_bytes - before.resident_bytes < GROWTH_BYTES


@pytest.mark.parametrize("read", [objects, batches, samples, streams, seekable])
def test_cut_short_epochs_leave_nothing_behind(
    bucket: Bucket, read: Callable[[Bucket], Iterator[Any]]
) -> None:
    """An epoch that stops in the middle leaves no descriptor, thread or memory."""
    for _ in range(5):
        next(read(bucket))
    before = usage()
    for _ in range(EPOCHS):
        epoch = read(bucket)
        next(epoch)
        next(epoch)
        del epoch
    assert_flat(before, usage(), spare=READERS)


# The parent's other tests may have left threads; Python 3.12 warns of forks beside them.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_cut_short_epochs_in_workers_leave_nothing_behind(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker processes end with their epoch, and the parent closes what it opened for them.

    No file stays either: a worker that ends after its dataset has gone records nothing.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(5):
        next(iter(loader(bucket)))
    before = usage_without_loaders()
    for _ in range(EPOCHS):
        epoch = iter(loader(bucket))
        next(epoch)
        next(epoch)
        del epoch
    assert_flat(before, usage_without_loaders())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_cut_short_epochs_of_workers_that_stay_leave_nothing_behind(bucket: Bucket) -> None:
    """Neither in the parent nor in the worker, which is the same one for all epochs."""
    start, others = usage_without_loaders(), children()
    staying = loader(bucket, persistent_workers=True)
    for _ in range(5):
        next(iter(staying))
    before = usage()
    (worker,) = children() - others
    worker_before = usage(worker)
    for _ in range(EPOCHS):
        next(iter(staying))
    assert_flat(before, usage())
    assert_flat(worker_before, usage(worker))
    del staying
    # There may be less: idle threads end before a fork.
    left = usage_without_loaders()
    assert all(now <= before for now, before in zip(left[:3], start[:3], strict=True))
