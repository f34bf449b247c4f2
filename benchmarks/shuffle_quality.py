"""Measure how well the orders of aisio and its peers shuffle, without reading anything.

    python benchmarks/shuffle_quality.py

All orders are of one rank of 8 workers, over 1,000 shards of 1,000 samples of 70 KB, in batches of
256. Those of the peers come from their own code; a peer that is not installed is left out. See
docs/performance.md.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aisio.training.order.cut import Cut, Topology
from aisio.training.order.epoch_line import EpochLine

Order: TypeAlias = NDArray[np.int64]

_PACK_BYTES = 1 << 20
_MIB = 1 << 20
_SEED = 7


@dataclass(frozen=True)
class Corpus:
    """What is shuffled.

    Attributes:
        shards: Number of shards.
        shard_samples: Number of samples of a shard.
        sample_bytes: Size of a sample.
        batch_size: Number of samples of a batch.
        workers: Number of DataLoader workers.
    """

    shards: int = 1000
    shard_samples: int = 1000
    sample_bytes: int = 70_000
    batch_size: int = 256
    workers: int = 8

    @property
    def samples(self) -> int:
        """Number of samples of all shards."""
        return self.shards * self.shard_samples


@dataclass(frozen=True)
class Quality:
    """How well an order is shuffled.

    Attributes:
        rank_correlation: Of a sample's place in the epoch with its place in storage; 0 is best.
        shards_in_batch: Distinct shards in a batch, in the mean.
        stored_together: Part of the neighbours in storage that are in one batch.
        stay_together: Part of the neighbours in an epoch that are in one batch of the next.
    """

    rank_correlation: float
    shards_in_batch: float
    stored_together: float
    stay_together: float


def quality(first: Order, second: Order, corpus: Corpus) -> Quality:
    """Compare two epochs, as the trainer receives them, with storage and with each other."""
    batches = [_batch_numbers(order, corpus) for order in (first, second)]
    whole = first[: len(first) // corpus.batch_size * corpus.batch_size]
    shards = np.sort(whole.reshape(-1, corpus.batch_size) // corpus.shard_samples, axis=1)
    return Quality(
        rank_correlation=float(abs(np.corrcoef(first, np.arange(len(first)))[0, 1])),
        shards_in_batch=float(1 + np.mean(np.sum(np.diff(shards, axis=1) > 0, axis=1))),
        stored_together=float(np.mean(batches[0][:-1] == batches[0][1:])),
        stay_together=float(np.mean(batches[1][first[:-1]] == batches[1][first[1:]])),
    )


def _batch_numbers(order: Order, corpus: Corpus) -> Order:
    """Return the number of each sample's batch; -1, -2 ... for those that did not come."""
    numbers = -1 - np.arange(corpus.samples)
    numbers[order] = np.arange(len(order)) // corpus.batch_size
    return numbers


def interleaved(workers: list[Order], corpus: Corpus) -> Order:
    """Return the samples of workers as a DataLoader takes them, a batch of each in turn."""
    size = corpus.batch_size
    batches = [
        [samples[start : start + size] for start in range(0, len(samples), size)]
        for samples in workers
    ]
    rounds = range(max(map(len, batches)))
    return np.concatenate([own[turn] for turn in rounds for own in batches if turn < len(own)])


def aisio_order(
    corpus: Corpus, epoch: int, window_bytes: int, pack_bytes: int = _PACK_BYTES
) -> Order:
    """Return the order of packs, permuted in windows."""
    pack = max(1, round(pack_bytes / corpus.sample_bytes))
    window = max(1, window_bytes // corpus.sample_bytes)
    topology = Topology(1, corpus.workers, corpus.batch_size, window, "none")
    cut = Cut(EpochLine(corpus.samples, pack, _SEED, epoch), topology, (_SEED, epoch, 0))
    workers = [
        np.array([sample for part in _windows(cut, worker) for sample in part])
        for worker in range(corpus.workers)
    ]
    return interleaved(workers, corpus)


def _windows(cut: Cut, worker: int) -> Iterator[list[int]]:
    number = 0
    while samples := cut.window(0, worker, number):
        yield samples
        number += 1


def permutation_order(corpus: Corpus, epoch: int) -> Order:
    """Return a random permutation of all samples, as of a sampler over single objects."""
    return np.random.default_rng((_SEED, epoch)).permutation(corpus.samples)


def webdataset_order(corpus: Corpus, epoch: int, buffer: int, shard_buffer: int = 100) -> Order:
    """Return the order of WebDataset(shardshuffle=shard_buffer).shuffle(buffer)."""
    shuffle = import_module("webdataset.filters").shuffle
    workers = []
    for worker in range(corpus.workers):
        rng = random.Random(f"{_SEED} {epoch} {worker}")
        shards = shuffle(shard_buffer, rng=rng)(iter(range(worker, corpus.shards, corpus.workers)))
        samples = (
            shard * corpus.shard_samples + number
            for shard in shards
            for number in range(corpus.shard_samples)
        )
        workers.append(np.array(list(shuffle(buffer, rng=rng)(samples))))
    return interleaved(workers, corpus)


def litdata_order(corpus: Corpus, epoch: int, item_window: int | None = None) -> Order:
    """Return the order of StreamingDataset(shuffle=True), a chunk for each shard."""
    shuffle = import_module("litdata.streaming.shuffle")
    interval = import_module("litdata.streaming.item_loader").Interval
    size = corpus.shard_samples
    intervals = [
        interval(start, start, start + size, start + size)
        for start in range(0, corpus.samples, size)
    ]
    reader = SimpleNamespace(_config=None, _max_cache_size=0)
    cache = SimpleNamespace(get_chunk_intervals=lambda: intervals, _reader=reader)
    shuffler = shuffle.FullShuffle(cache, _SEED, False, item_window)
    environment = import_module("litdata.utilities.env")._DistributedEnv(1, 0, 1)
    shared = shuffler.get_chunks_and_intervals_per_workers(
        environment, corpus.workers, corpus.batch_size, epoch + 1
    )
    workers = []
    for chunks, parts in zip(*shared, strict=True):
        samples: list[int] = []
        for chunk, part in zip(chunks, parts, strict=True):
            samples += shuffler(np.arange(part[1], part[2]), corpus.shards, epoch + 1, int(chunk))
        workers.append(np.array(samples))
    return interleaved(workers, corpus)


def mosaicml_order(corpus: Corpus, epoch: int, algorithm: str, block: int) -> Order:
    """Return the order of StreamingDataset(shuffle=True), one canonical node."""
    shuffle = import_module("streaming.base.shuffle").get_shuffle
    partitions = import_module("streaming.base.partition").get_partitions
    sizes = np.full(corpus.shards, corpus.shard_samples)
    order = shuffle(algorithm, sizes, 1, _SEED, epoch, block)
    places = partitions("relaxed", corpus.samples, 1, 1, 1, corpus.workers, corpus.batch_size)
    workers = [own[own >= 0] for own in places[0, 0].reshape(corpus.workers, -1)]
    return interleaved([order[own] for own in workers], corpus)


ORDERS: dict[str, Callable[[Corpus, int], Order]] = {
    "full random permutation": permutation_order,
    "aisio, by index": partial(aisio_order, window_bytes=0, pack_bytes=0),
    **{
        f"aisio, packs of 1 MiB, windows of {size} MiB": partial(
            aisio_order, window_bytes=size * _MIB
        )
        for size in (16, 32, 64, 256)
    },
    **{
        f"webdataset, .shuffle({buffer:,})": partial(webdataset_order, buffer=buffer)
        for buffer in (1000, 5000)
    },
    "litdata": litdata_order,
    "litdata, whole chunks permuted": partial(litdata_order, item_window=0),
    **{
        f"mosaicml-streaming, {algorithm}, blocks of {block:,}": partial(
            mosaicml_order, algorithm=algorithm, block=block
        )
        for algorithm in ("py1e", "py1br")
        for block in (1 << 18, 4_000_000)
    },
    "mosaicml-streaming, py1s": partial(mosaicml_order, algorithm="py1s", block=1 << 18),
}


def rows(
    corpus: Corpus, orders: Mapping[str, Callable[[Corpus, int], Order]] = ORDERS
) -> Iterator[tuple[str, Quality | str]]:
    """Yield the quality of each order, or why it could not be computed."""
    for name, order in orders.items():
        try:
            yield name, quality(order(corpus, 0), order(corpus, 1), corpus)
        except ImportError as error:
            yield name, f"left out: {error}"


def table(found: list[tuple[str, Any]]) -> str:
    """Return a table in Markdown, and a line for each order that was left out."""
    lines = [
        "| order | rank correlation | shards in a batch | stored together | stay together |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, one in found:
        if isinstance(one, Quality):
            lines.append(
                f"| {name} | {one.rank_correlation:.3f} | {one.shards_in_batch:.0f} |"
                f" {one.stored_together:.2%} | {one.stay_together:.2%} |"
            )
    return "\n".join([*lines, *(f"{name} {one}" for name, one in found if isinstance(one, str))])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000, help="of 1,000 samples each [1000]")
    print(table(list(rows(Corpus(shards=parser.parse_args().shards)))))


if __name__ == "__main__":
    main()
