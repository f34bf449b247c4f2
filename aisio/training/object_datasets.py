"""AISMapDataset, AISIterDataset: objects as samples, thin shells for torch over the rooms above.

Names and arguments are those of the official `aistore.pytorch`; what was added is keyword-only.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.extras import missing_extra
from aisio.records import Concurrency, ObjectInfo
from aisio.sources.base import Source
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings
from aisio.training.epoch_stats import Tally
from aisio.training.split_dataset import (
    Split,
    SplitDataset,
    check_length,
    check_split,
    current_worker,
)
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet

try:
    from torch.utils.data import Dataset, IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISIterDataset", "AISMapDataset"]


class AISMapDataset(Dataset[tuple[str, bytes]]):
    """Objects by index: `dataset[i]` is (name, bytes).

    The sources are listed once, at construction.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, objects
            or patterns, folders, names in a catalog.
        prefix_map: For some of these sources, the prefix, pattern or object to take, or several;
            all objects otherwise.
        etl_name: Have the cluster transform each object by this ETL.
        client: The cluster for sources given as URLs; without it one made from `endpoint`.
        endpoint: Its URL; without it AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.
        concurrency: How many objects of a batch are read at once, or the bounds within which to
            find out; without it at most 8 at first, then what the store does best with.
        allow_empty: Take a source without objects, or a prefix that no name begins with, for empty;
            without it that is an error.

    Raises:
        ValueError: No source.
        NotFoundError: A bucket does not exist, or a source has no object.
    """

    def __init__(
        self,
        ais_source_list: Any = (),
        prefix_map: PrefixMap | None = None,
        etl_name: str | None = None,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        concurrency: int | Concurrency | None = None,
        allow_empty: bool = False,
    ) -> None:
        sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=type(self).__name__,
            client=explicit_client(client, endpoint),
            direct=direct,
            allow_empty=allow_empty,
        )
        self._etl_name = etl_name
        self._pace = AdaptiveLimit(Concurrency.of(concurrency))
        self._tally = Tally(type(self).__name__, "object")
        self._objects = list(sources.list())

    def __len__(self) -> int:
        return len(self._objects)

    def stats(self) -> dict[str, Any]:
        """Return where the time of all reads so far went, of all workers."""
        return self._tally.sums()

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        with self._tally.call(1, current_worker()):
            return self._read(index)

    def _read(self, index: int) -> tuple[str, bytes]:
        one, info = self._listed(index)
        return info.name, one.read(info, etl_name=self._etl_name)

    def _ask(self, index: int) -> PendingGet | None:
        one, info = self._listed(index)
        return one.send_ahead(info, etl_name=self._etl_name)

    def _listed(self, index: int) -> tuple[Source, ObjectInfo]:
        number = operator.index(index)
        try:
            return self._objects[number]
        except IndexError:
            raise IndexError(
                f"<{type(self).__name__}> index must be in bounds of dataset"
            ) from None

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[str, bytes]]:
        """Return the objects at several indices, in their order; a DataLoader asks so."""
        if type(self).__getitem__ is not AISMapDataset.__getitem__:
            # A subclass's own may yield anything, and need not bear to be called by threads.
            return [self[index] for index in indices]
        read = fetch_in_order(
            indices,
            self._read,
            send_ahead=self._ask,
            pace=self._pace,
            size_of=lambda index: self._listed(index)[1].size_bytes,
            result_bytes=_payload_bytes,
        )
        with self._tally.call(len(indices), current_worker()):
            return list(read)


class AISIterDataset(SplitDataset, IterableDataset[tuple[str, bytes]]):
    """Objects in listing order as (name, bytes), split over ranks and DataLoader workers.

    Each iteration lists anew. Rank and worker are read when it starts: item i goes to rank i mod
    ranks, and the rank's j-th item to its worker j mod workers.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, objects
            or patterns, folders, names in a catalog.
        prefix_map: For some of these sources, the prefix, pattern or object to take, or several;
            all objects otherwise.
        etl_name: Have the cluster transform each object by this ETL.
        show_progress: Count on stderr, if that is a terminal, what each worker reads.
        partition_sources_by_worker: Give each worker whole sources, so that none is listed by two
            of them. Workers beyond the number of sources have nothing to do.
        client: The cluster for sources given as URLs; without it one made from `endpoint`.
        endpoint: Its URL; without it AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.
        concurrency: How many objects each worker reads at once, or the bounds within which to find
            out; without it at most 8 at first, then what the store does best with.
        length: What `len()` shall say; without it there is no length: see `count` and
            `count_batches`.
        split: Over what to split: "rank+worker"; "worker", where whoever prepares the DataLoader
            splits over ranks itself, as Accelerate does; or "none", where each worker is to read
            all.
        allow_empty: Take a source without objects, or a prefix that no name begins with, for empty;
            without it that is an error.

    Raises:
        ValueError: No source.
        NotFoundError: At iteration: a bucket does not exist, or a source has no object.
        ConfigError: length is below 0, split is none of these; at iteration: the environment says
            no rank that can be (`aisio.training.ranks`).
    """

    def __init__(
        self,
        ais_source_list: Any = (),
        prefix_map: PrefixMap | None = None,
        etl_name: str | None = None,
        show_progress: bool = False,
        partition_sources_by_worker: bool = False,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        concurrency: int | Concurrency | None = None,
        length: int | None = None,
        allow_empty: bool = False,
        split: Split = "rank+worker",
    ) -> None:
        super().__init__()
        self._length = check_length(length)
        self._split = check_split(split)
        self._sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=type(self).__name__,
            client=explicit_client(client, endpoint),
            direct=direct,
            allow_empty=allow_empty,
        )
        self._etl_name = etl_name
        self._show_progress = show_progress
        self._concurrency = Concurrency.of(concurrency)
        self._by_source = partition_sources_by_worker
        self._tally = Tally(type(self).__name__, "object")

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        read = self._read_all(self._mine(self._place(), "object"))
        return self._counted(read, unit="object", show=self._show_progress)

    def _read_all(self, mine: Iterator[tuple[Source, ObjectInfo]]) -> Iterator[tuple[str, bytes]]:
        return fetch_in_order(
            mine,
            self._read,
            send_ahead=self._ask,
            pace=AdaptiveLimit(self._concurrency),
            size_of=lambda listed: listed[1].size_bytes,
            result_bytes=_payload_bytes,
        )

    def _read(self, listed: tuple[Source, ObjectInfo]) -> tuple[str, bytes]:
        one, info = listed
        return info.name, one.read(info, etl_name=self._etl_name)

    def _ask(self, listed: tuple[Source, ObjectInfo]) -> PendingGet | None:
        one, info = listed
        return one.send_ahead(info, etl_name=self._etl_name)


def _payload_bytes(item: tuple[str, bytes]) -> int:
    return len(item[1])
