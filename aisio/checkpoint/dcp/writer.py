"""StorageWriter: what torch.distributed.checkpoint.save writes a checkpoint with, to any store.

The names of the files are new in each save. So nothing of an older checkpoint at the same URL
changes before `.metadata` is replaced, by one write; the files of the older one are removed after
that. A reader sees the old checkpoint, or the new one.
"""

from __future__ import annotations

import logging
import os
import secrets
import uuid
from functools import partial
from threading import Event
from typing import Any

from aisio.checkpoint.dcp.item_writing import split_items, write_item
from aisio.checkpoint.dcp.place import CheckpointPlace, StoreFinder, can_be_checkpoint
from aisio.checkpoint.dcp.stored_metadata import read_metadata, referenced_files, write_metadata
from aisio.client.client import Client
from aisio.errors import (
    AisioError,
    ConfigError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    NotSupportedError,
    StorageError,
)
from aisio.extras import missing_extra
from aisio.limits import is_whole
from aisio.stores import DirectSettings
from aisio.transport.worker_threads import WorkerThreads
from aisio.transport.writer import CONCURRENCY, PART_BYTES, WriteOptions

try:
    import torch.distributed as dist
    from torch.distributed.checkpoint import storage as torch_storage
    from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
    from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem
    from torch.distributed.checkpoint.storage import WriteResult
    from torch.futures import Future
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["StorageWriter"]

_log = logging.getLogger(__name__)
_FOLDER = "aisio_folder"


class StorageWriter(torch_storage.StorageWriter):
    """Writes distributed checkpoints to a URL.

        dcp.save(state, storage_writer=StorageWriter("ais://models/run/100"))

    Each rank writes one file or more, whose parts go up while it goes on. `.metadata` is stored
    last, by the coordinator, once all ranks have stored theirs: if a rank fails or is killed, there
    is no new checkpoint, and one that was there before stays as it is.

    It holds settings, not connections, and pickles. One writer may save any number of checkpoints,
    one after the other. A rank holds at most `concurrency + 3 * thread_count` parts in memory, and
    the copy of one tensor for each thread where that is not in the processor's memory.

    Args:
        url: Where the checkpoint goes: a URL, or the path of a local folder as a PathLike object.
            None, if each save names it by `checkpoint_id=`.
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        part_bytes: How many bytes a request carries; from 5 MiB on where a cloud is written to.
        concurrency: How many requests each rank sends at once.
        thread_count: How many files each rank writes, each in a thread of its own.
        overwrite: Replace a checkpoint that is at the URL; otherwise that is an error.

    Raises:
        UrlError: The URL is not valid.
        ConfigError: A number is below 1.
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
        thread_count: int = 1,
        overwrite: bool = True,
    ) -> None:
        super().__init__()
        if not is_whole(thread_count, 1):
            raise ConfigError(f"{thread_count=!r}: expected a whole number of at least 1")
        self._finder = StoreFinder(client, endpoint, direct)
        WriteOptions(part_bytes, concurrency)  # checks them
        self._options = WriteOptions(part_bytes, max(1, concurrency // thread_count))
        self._thread_count = thread_count
        self._overwrite = overwrite
        self._is_coordinator = False
        self._place: CheckpointPlace | None = None
        self.reset(url)

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Begin another checkpoint; torch calls it.

        Args:
            checkpoint_id: Where it goes; None for the URL of the last one.

        Raises:
            UrlError: It is not valid.
        """
        self._save_id = str(uuid.uuid4())
        if checkpoint_id is not None:
            self._place = self._finder.place(checkpoint_id)

    @property
    def checkpoint_id(self) -> str | None:
        """The URL that the checkpoint goes to."""
        return None if self._place is None else str(self._place.url)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether a checkpoint can be written to a URL or path."""
        return can_be_checkpoint(checkpoint_id, written=True)

    def storage_meta(self) -> StorageMeta | None:
        """Return what torch notes of the checkpoint."""
        return StorageMeta(checkpoint_id=self.checkpoint_id, save_id=self._save_id)

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """See torch's StorageWriter.

        Raises:
            NotSupportedError: `use_collectives` is false: without them no rank knows that all have
                stored their files.
        """
        if not kwargs.get("use_collectives", True):
            raise NotSupportedError(
                "use_collectives=False: without them no rank knows when the checkpoint is complete"
            )
        self._is_coordinator = is_coordinator

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Return the plan as it is.

        Raises:
            ConfigError: There is no URL.
            ConflictError: There is a checkpoint, and `overwrite` is false.
        """
        place = self._current_place()
        if self._is_coordinator and not self._overwrite:
            try:
                place.store.head(place.metadata_url)
            except NotFoundError:
                return plan
            raise ConflictError(
                f"{place.url} is a checkpoint already, and overwrite is False", url=str(place.url)
            )
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Return the plans as they are."""
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write the files of this rank.

        Raises:
            StorageError: One could not be stored; those that were are removed.
        """
        place = self._current_place()
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        token = secrets.token_hex(8)
        groups = split_items(plan.items, self._thread_count)
        names = [f"__{rank}_{number}.{token}.distcp" for number in range(len(groups))]
        threads = WorkerThreads(max(1, len(groups)), "aisio-checkpoint")
        stopped = Event()
        work = partial(self._write_file, place, planner, stopped)
        try:
            futures = [
                threads.submit(partial(work, name, items))
                for name, items in zip(names, groups, strict=True)
            ]
            errors = [error for future in futures if (error := future.exception()) is not None]
            if errors:
                # One file failed; the others were stopped for that.
                raise min(errors, key=lambda error: isinstance(error, _SaveStoppedError))
            results = [result for future in futures for result in future.result()]
        except BaseException:
            stopped.set()
            threads.end(cancel=True)
            _remove_files(place, names)
            raise
        finally:
            threads.end(cancel=True)
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Make the files of all ranks a checkpoint, and remove those of the one that was there.

        Raises:
            IntegrityError: Ranks have written to different URLs.
            StorageError: `.metadata` could not be stored: there is no new checkpoint.
        """
        place = self._current_place()
        stored = {}
        for result in (one for of_rank in results for one in of_rank):
            folder = result.storage_data.__dict__.pop(_FOLDER, None)
            if folder != str(place.url):
                raise IntegrityError(
                    f"a rank has written {result.index.fqn} to {folder}, but the checkpoint is "
                    f"{place.url}: all ranks need one URL, and a writer saves one checkpoint at a "
                    f"time",
                    url=str(place.url),
                )
            stored[result.index] = result.storage_data
        metadata.storage_data = stored
        metadata.storage_meta = self.storage_meta()
        if hasattr(metadata, "version"):
            metadata.version = "1.0.0"
        old = _files_of_old(place)
        write_metadata(place, metadata)
        _remove_files(place, sorted(old - referenced_files(metadata)))

    def _write_file(
        self,
        place: CheckpointPlace,
        planner: SavePlanner,
        stopped: Event,
        name: str,
        items: list[WriteItem],
    ) -> list[WriteResult]:
        results = []
        try:
            with place.store.writer(place.file_url(name), self._options) as file:
                for item in items:
                    if stopped.is_set():
                        raise _SaveStoppedError(f"{file.url}: the save has failed elsewhere")
                    results.append(write_item(file, name, item, planner))
        except BaseException:
            stopped.set()
            raise
        for result in results:
            result.storage_data.__dict__[_FOLDER] = str(place.url)
        return results

    def _current_place(self) -> CheckpointPlace:
        if self._place is None:
            raise ConfigError("StorageWriter has no URL: name one, or pass checkpoint_id= to save")
        return self._place


class _SaveStoppedError(StorageError):
    """A file was not written to its end, as another one could not be."""


def _files_of_old(place: CheckpointPlace) -> set[str]:
    """Return the files of the checkpoint that is there."""
    try:
        return referenced_files(read_metadata(place)[0])
    except NotFoundError:
        return set()
    except AisioError as error:
        _log.warning("the files of the checkpoint that was there remain: %s", error)
        return set()


def _remove_files(place: CheckpointPlace, names: list[str]) -> None:
    """Remove files that belong to no checkpoint; an error is logged."""
    for name in names:
        try:
            place.store.delete(place.file_url(name), missing_ok=True)
        except (AisioError, OSError) as error:
            _log.warning("%s could not be removed, and belongs to no checkpoint: %s", name, error)
