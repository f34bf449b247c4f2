"""How soon a Loader's batches come, and what it holds: memory, state, descriptors."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any

import processes
from corpus import FIELDS_BYTES, IMAGE_BYTES, Corpus
from loaders import BATCH, FIELDS, WORKERS, shuffled_loader, size_of, webdataset_loader
from measuring import READY, Items, ItemsWithFigures, Reader

STATES = 1_000
LOOK_EVERY = 4
"""At which of the batches to look at memory, which takes 40 ms each time."""

COME_AND_GO = 3
"""How many connections and threads more than at first are no leak, in many epochs."""

QUEUE_S = 1
"""How long to wait for a queue's thread, in seconds; those of persistent workers do not end."""

MIB = 1 << 20
WINDOW_BYTES = 32 * MIB
"""Where memory is measured: a worker's window."""

PREFETCH = 2
"""How many batches each worker has ahead: torch's default."""


def first_batch(percent: int, corpus: Corpus) -> Items:
    """The first batch behind `iter()`, of a new loader that goes on where another stood."""
    loader = shuffled_loader(corpus, "many", num_workers=WORKERS)
    if percent:
        loader.load_state_dict(_state_at(corpus, percent))
    yield READY
    yield from _first(loader)


def first_batch_with_index(corpus: Corpus) -> Items:
    """The same with the listing of the shards, and the loading of their index."""
    from aisio import AISShardDataset, Loader  # noqa: F401 - before the clock starts

    yield READY
    yield from _first(shuffled_loader(corpus, "many", num_workers=WORKERS))


def first_batch_of_webdataset(corpus: Corpus) -> Items:
    """The first batch of webdataset's WebLoader."""
    batches = webdataset_loader(corpus, "many", ("__key__", *FIELDS), WORKERS)
    yield READY
    _, *fields = next(iter(batches))
    yield from map(size_of, *fields)


def states(corpus: Corpus) -> Items:
    """`state_dict()` in the middle of an epoch, as JSON; each counts as one byte."""
    loader = shuffled_loader(corpus, "many")
    loader.load_state_dict(_state_at(corpus, 50))
    next(iter(loader))
    yield READY
    for _ in range(STATES):
        json.dumps(loader.state_dict())
        yield 1


def worker_memory(corpus: Corpus) -> ItemsWithFigures:
    """What the worker that holds most holds, beside one of torch's that makes the samples up."""
    from torch.utils.data import DataLoader

    made_up: Any = MadeUp(64 * BATCH)
    torch_own = _held_by_workers(DataLoader(made_up, BATCH, num_workers=WORKERS))
    loader = shuffled_loader(
        corpus,
        num_workers=WORKERS,
        window_bytes=WINDOW_BYTES,
    )
    yield READY
    own = _held_by_workers(loader)
    yield from [FIELDS_BYTES] * (corpus.shards * corpus.samples)
    return {"baseline_bytes": torch_own, "peak_bytes": own}


def memory_bound(corpus: Corpus) -> ItemsWithFigures:
    """What docs/loader.md says that a worker holds over torch's own."""
    from aisio.training.workers.pack_reading import PackSizes

    pack = PackSizes.of(shuffled_loader(corpus).dataset.index, WINDOW_BYTES).pack
    batch = BATCH * FIELDS_BYTES
    window = WINDOW_BYTES * (1 - 1 / pack) * pack ** (-1 / max(1, pack - 1))
    slabs = (PREFETCH * WORKERS + 1) * batch
    yield READY
    yield from [FIELDS_BYTES] * (corpus.shards * corpus.samples)
    return {"baseline_bytes": 0, "peak_bytes": window + batch + MIB + slabs}


def many_epochs(corpus: Corpus, *, persistent_workers: bool) -> ItemsWithFigures:
    """Epochs of few samples, each counted as one byte, and how much the last ones hold more.

    Raises:
        RuntimeError: A descriptor, thread, process or name in /dev/shm was left.
    """
    own = os.getpid()
    loader = shuffled_loader(
        corpus, "pictures", num_workers=WORKERS, persistent_workers=persistent_workers
    )
    seen = {own}
    holdings = []
    held = []
    yield READY
    for _ in range(corpus.epochs):
        last = len(loader) - 1
        for number, (names, _) in enumerate(loader):
            yield from [1] * len(names)
            if number == last:
                workers = processes.children()
                seen.update(workers)
                held.append(sum(processes.Memory.of(own)) + sum(processes.largest(workers)))
        wait_for_queues()
        holdings.append(processes.Holdings.now(seen))
    some = corpus.epochs // 5
    for name in processes.Holdings._fields:
        most = max(getattr(one, name) for one in holdings[some : 2 * some])
        fewest = min(getattr(one, name) for one in holdings[-some:])
        if fewest > most + COME_AND_GO:
            raise RuntimeError(f"{name}: {most} after {2 * some} epochs, {fewest} after the last")
    return {
        "baseline_bytes": max(held[some : 2 * some]),
        "peak_bytes": max(held[-some:]),
    }


def wait_for_queues() -> None:
    """Wait for the threads of the queues to workers that have ended: these close their pipes."""
    for thread in threading.enumerate():
        if thread.name == "QueueFeederThread":
            thread.join(QUEUE_S)


class MadeUp:
    """A map-style dataset of samples as in the corpus, each made up when it is asked for.

    Args:
        count: Their number.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[str, dict[str, bytes]]:
        return f"{index:08d}", {"jpg": bytes(IMAGE_BYTES), "cls": b"0000", "json": b"{}"}


def _first(loader: Any) -> Items:
    _, fields = next(iter(loader))
    yield from map(size_of, *fields.values())


def _state_at(corpus: Corpus, percent: int) -> dict[str, Any]:
    """Return the state of a trainer that has received a part of an epoch of the many shards."""
    loader = shuffled_loader(corpus, "many", num_workers=WORKERS)
    next(iter(loader))
    state: dict[str, Any] = loader.state_dict()
    # The last number of a segment is that of its batches: no need to read them here.
    state["segments"][-1][-1] = max(1, len(loader) * percent // 100)
    return state


def _held_by_workers(loader: Iterable[Any]) -> float:
    """Return the most that a worker held while the batches of an epoch came."""
    batches = islice(loader, 0, None, LOOK_EVERY)
    return max(sum(processes.largest(processes.children())) for _ in batches)


FIRST_CASES: dict[str, Reader] = {
    "aisio Loader": partial(first_batch, 0),
    "aisio Loader, resumed at 25 %": partial(first_batch, 25),
    "aisio Loader, resumed at 50 %": partial(first_batch, 50),
    "aisio Loader, resumed at 95 %": partial(first_batch, 95),
    "aisio Loader, with the listing": first_batch_with_index,
    "webdataset WebLoader, its shuffle": first_batch_of_webdataset,
}
STATE_CASES: dict[str, Reader] = {"aisio Loader": states}
MEMORY_CASES: dict[str, Reader] = {
    "aisio Loader": worker_memory,
    "alone: the stated bound": memory_bound,
}
EPOCHS_CASES: dict[str, Reader] = {
    "aisio Loader": partial(many_epochs, persistent_workers=False),
    "aisio Loader, persistent workers": partial(many_epochs, persistent_workers=True),
}
