"""StorageReader: what torch.distributed.checkpoint.load reads a checkpoint with, from any store.

Each rank reads the bytes of the tensors that it wants, or of the rows of them: those that stand
near one another by one request, several requests at once, and large tensors by several requests.
The bytes are compared with the digests that `.metadata` has of them.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from typing import Any

from aisio.checkpoint.dcp.file_reading import FileReader, RunReading
from aisio.checkpoint.dcp.item_reading import Wanted, deliver, views_for
from aisio.checkpoint.dcp.place import CheckpointPlace, StoreFinder, can_be_checkpoint
from aisio.checkpoint.dcp.read_plan import Run, plan_runs
from aisio.checkpoint.dcp.stored_metadata import Item, item_of, read_metadata
from aisio.client.client import Client
from aisio.errors import ConfigError, IntegrityError, NotSupportedError
from aisio.extras import missing_extra
from aisio.limits import is_whole
from aisio.stores import DirectSettings
from aisio.transport.worker_threads import WorkerThreads
from aisio.transport.writer import CONCURRENCY, PART_BYTES, WriteOptions

try:
    from torch.distributed.checkpoint import storage as torch_storage
    from torch.distributed.checkpoint.metadata import Metadata
    from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
    from torch.futures import Future
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["StorageReader"]

GAP_BYTES = 256 * 1024


class StorageReader(torch_storage.StorageReader):
    """Reads distributed checkpoints from a URL.

        dcp.load(state, storage_reader=StorageReader("ais://models/run/100"))

    It reads what StorageWriter, torch's FileSystemWriter and S3StorageWriter have written. It holds
    settings, not connections, and pickles. A rank holds at most `concurrency + 2` parts in memory
    beside the tensors; where a tensor is not loaded as it was stored, what is read of the largest.

    Args:
        url: The checkpoint: a URL, or the path of a local folder as a PathLike object. None, if
            each load names it by `checkpoint_id=`.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        part_bytes: The most bytes of a request.
        concurrency: How many requests each rank sends at once.
        gap_bytes: So many bytes between two tensors, at most, are read in vain rather than by
            another request.

    Raises:
        UrlError: The URL is not valid.
        ConfigError: A number is too small.
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        part_bytes: int = PART_BYTES,
        concurrency: int = CONCURRENCY,
        gap_bytes: int = GAP_BYTES,
    ) -> None:
        super().__init__()
        if not is_whole(gap_bytes):
            raise ConfigError(f"{gap_bytes=!r}: expected a whole number")
        self._finder = StoreFinder(client, endpoint, direct)
        self._options = WriteOptions(part_bytes, concurrency)
        self._gap_bytes = gap_bytes
        self._place: CheckpointPlace | None = None
        self._digest = ""
        self.reset(url)

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Begin to read another checkpoint; torch calls it.

        Args:
            checkpoint_id: The checkpoint; None for that of the last load.

        Raises:
            UrlError: It is not valid.
        """
        self._metadata: Metadata | None = None
        if checkpoint_id is not None:
            self._place = self._finder.place(checkpoint_id)

    @property
    def checkpoint_id(self) -> str | None:
        """The URL of the checkpoint."""
        return None if self._place is None else str(self._place.url)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether a checkpoint can be read from a URL or path."""
        return can_be_checkpoint(checkpoint_id)

    def read_metadata(self) -> Metadata:
        """Read `.metadata`.

        Raises:
            NotFoundError: There is no checkpoint, or only an unfinished one.
            IntegrityError: The bytes are not those that were written.
        """
        metadata, self._digest = read_metadata(self._current_place())
        return metadata

    def set_up_storage_reader(
        self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any
    ) -> None:
        """See torch's StorageReader."""
        self._metadata = metadata

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Add to the plan which checkpoint this rank has seen."""
        return dataclasses.replace(plan, storage_data=self._digest)

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Return the plans as they are.

        Raises:
            IntegrityError: The checkpoint was replaced after some ranks had read its metadata.
        """
        if len({plan.storage_data for plan in plans}) > 1:
            url = self.checkpoint_id
            raise IntegrityError(
                f"{url}: the ranks have read different checkpoints: it was replaced meanwhile, or "
                f"they were given different URLs; load it again",
                url=url,
            )
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Read what this rank wants.

        Raises:
            IntegrityError: Bytes are not those that were written.
            NotFoundError: A file of the checkpoint is missing.
        """
        wanted = self._wanted(plan)
        items = [one.item for one in wanted.values() if one.item.length]
        runs = plan_runs(items, gap_bytes=self._gap_bytes, max_bytes=self._options.part_bytes)
        sizes = _file_sizes(self._checked_metadata())
        load = _Load(self._current_place(), planner, sizes, wanted)
        for one in wanted.values():
            if not one.item.length:
                deliver(one, [], planner, str(load.place.url))
        load.run(list(runs), self._options)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _wanted(self, plan: LoadPlan) -> dict[tuple[str, int, int], Wanted]:
        metadata, url = self._checked_metadata(), str(self._current_place().metadata_url)
        items: dict[tuple[str, int, int], Item] = {}
        requests: dict[tuple[str, int, int], list[ReadItem]] = {}
        for request in plan.items:
            item = item_of(metadata, request.storage_index, url)
            info = metadata.storage_data[request.storage_index]
            if getattr(info, "transform_descriptors", None):
                raise NotSupportedError(
                    f"{url}: {request.storage_index.fqn} was written with the stream transforms "
                    f"{info.transform_descriptors}, which only torch's FileSystemReader undoes"
                )
            items[item.place] = item
            requests.setdefault(item.place, []).append(request)
        found = (Wanted(item, requests[place], metadata) for place, item in items.items())
        return {wanted.item.place: wanted for wanted in found}

    def _checked_metadata(self) -> Metadata:
        if self._metadata is None:
            raise ConfigError("StorageReader: read_metadata and set_up_storage_reader come first")
        return self._metadata

    def _current_place(self) -> CheckpointPlace:
        if self._place is None:
            raise ConfigError("StorageReader has no URL: name one, or pass checkpoint_id= to load")
        return self._place


class _Load:
    """One load of one rank.

    Args:
        place: The checkpoint.
        planner: Takes what was read.
        sizes: The smallest and the largest size that each file can have.
        wanted: What is to be read, by `Item.place`.
    """

    def __init__(
        self,
        place: CheckpointPlace,
        planner: LoadPlanner,
        sizes: dict[str, tuple[int, int | None]],
        wanted: dict[tuple[str, int, int], Wanted],
    ) -> None:
        self.place = place
        self._planner = planner
        self._sizes = sizes
        self._wanted = wanted
        self._files: dict[str, FileReader] = {}
        self._is_stopped = False

    def run(self, runs: list[Run], options: WriteOptions) -> None:
        """Read all runs, and deliver their items in order."""
        threads = WorkerThreads(options.concurrency, "aisio-load")
        window_bytes = (options.concurrency + 2) * options.part_bytes
        begun: deque[RunReading] = deque()
        ahead_bytes = 0
        try:
            for run in runs:
                self._resolve(run)
                size = run.stop - run.start
                while begun and ahead_bytes + size > window_bytes:
                    # Else connections would be idle while the last parts of a large tensor come.
                    if len(begun) == 1 and self._held_bytes(begun[0].run, run) <= window_bytes:
                        break
                    ahead_bytes -= self._finish(begun.popleft())
                begun.append(self._begin(run, threads, options.part_bytes))
                ahead_bytes += size
            while begun:
                self._finish(begun.popleft())
        finally:
            self._is_stopped = True
            threads.end(cancel=True)

    def _resolve(self, run: Run) -> None:
        for item in run.items:
            self._wanted[item.place].resolve(self._planner)

    def _held_bytes(self, *runs: Run) -> int:
        """Return how many bytes of runs take memory beside that of the tensors."""
        wanted = [self._wanted[item.place] for run in runs for item in run.items]
        in_place_bytes = sum(one.in_place_bytes for one in wanted)
        return sum(run.stop - run.start for run in runs) - in_place_bytes

    def _begin(self, run: Run, threads: WorkerThreads, part_bytes: int) -> RunReading:
        if run.path not in self._files:
            self._files[run.path] = FileReader(self.place, run.path, *self._sizes[run.path])
        reading = RunReading(self._files[run.path], run, views_for(run, self._wanted))
        reading.begin(threads, part_bytes, lambda: self._is_stopped)
        return reading

    def _finish(self, reading: RunReading) -> int:
        reading.finish()
        url = str(self.place.file_url(reading.run.path))
        for item in reading.run.items:
            wanted = self._wanted.pop(item.place)
            deliver(wanted, reading.bytes_of(item), self._planner, url)
        return reading.size_bytes


def _file_sizes(metadata: Metadata) -> dict[str, tuple[int, int | None]]:
    """Return the smallest and the largest size that each file can have; None for no largest."""
    sizes: dict[str, tuple[int, int | None]] = {}
    for info in metadata.storage_data.values():
        item = Item(info)
        min_bytes = max(item.stop, sizes.get(item.path, (0, None))[0])
        sizes[item.path] = (min_bytes, None if item.xxh3_64 is None else min_bytes)
    return sizes
