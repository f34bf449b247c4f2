"""Makes batches in the workers of torch's DataLoader, which takes this for its dataset."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from aisio import publishing
from aisio.extras import missing_extra
from aisio.freed_memory import keep_freed_memory
from aisio.training.workers.pack_reading import PackBatches, PackRequest
from aisio.training.workers.slab_file import SlabFile
from aisio.training.workers.slabs import Loan, collate_into
from aisio.training.workers.worker_process import end_with_parent

try:
    from torch.utils.data import default_collate, get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["BatchMaker", "BatchRequest", "as_it_is"]


class BatchRequest(NamedTuple):
    """What the trainer's process asks a worker for.

    Attributes:
        number: Number of the batch among those of its rank.
        indices: Indices of its samples; or how to compute them, for `PackBatches`.
        loan: The slot that it may travel in.
    """

    number: int
    indices: list[int] | PackRequest
    loan: Loan | None = None


class BatchMaker:
    """What torch's DataLoader takes for a dataset: its "samples" are the answers to a request.

    Args:
        dataset: The user's dataset, or `PackBatches` of it.
        collate_fn: Makes a batch of samples; torch's default if None.
        worker_init_fn: The user's, which is called in each worker.

    Attributes:
        file: The memory that batches may travel in; workers have that of when they were started.
    """

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        worker_init_fn: Callable[[int], None] | None = None,
    ) -> None:
        self._dataset = dataset
        self._collate_fn = collate_fn or default_collate
        self._worker_init_fn = worker_init_fn
        self.file: SlabFile | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitems__(self, request: BatchRequest) -> Any:
        started = perf_counter()
        samples = self._counted_read(request.indices)
        read_s = perf_counter() - started
        if request.loan is None or self.file is None:
            return self._collate_fn(samples)
        return collate_into(self.file, request.loan, samples, self._collate_fn, read_s)

    def start_worker(self, worker: int) -> None:
        """Begin in a worker: `get_worker_info()` there shows the user's dataset, not this."""
        end_with_parent()
        keep_freed_memory()  # a worker that was not forked does not have it yet
        packs = isinstance(self._dataset, PackBatches)
        dataset = self._dataset.dataset if packs else self._dataset
        object.__setattr__(get_worker_info(), "dataset", dataset)  # it is frozen
        publishing.current().worker = worker
        # The garbage collector would look at all of torch again and again, for the samples that a
        # worker holds: half of the time for samples of 1 KB.
        gc.freeze()
        if self._worker_init_fn is not None:
            self._worker_init_fn(worker)

    def _counted_read(self, indices: Any) -> Any:
        """Read samples, and count those of a dataset that is not aisio's, which counts its own."""
        live = publishing.current()
        before, errors = live.samples, live.errors
        try:
            samples = self._read(indices)
        except Exception:
            live.errors = errors + 1
            raise
        if live.samples == before:
            live.samples += len(samples)
        return samples

    def _read(self, indices: Any) -> Any:
        read_many = getattr(self._dataset, "__getitems__", None)
        if read_many:
            return read_many(indices)
        return [self._dataset[index] for index in indices]


def as_it_is(batch: Any) -> Any:
    """Return a batch: the DataLoader has nothing left to collate."""
    return batch
