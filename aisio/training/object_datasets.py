"""AISMapDataset and AISIterDataset: whole objects as samples, by index or in listing order.

Names and arguments are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
Constructors have more than 8 arguments for that reason.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.records import Concurrency
from aisio.sources.digest import ListingDigest
from aisio.sources.listing_table import ListingTable
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings
from aisio.training.epoch_stats import EpochStats
from aisio.training.listing.shared_listing import SharedListing
from aisio.training.process_rank import current_worker
from aisio.training.sample_names import SampleNames
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject, SplitDataset
from aisio.training.split_options import Equalize, Ranks, Split, SplitOptions
from aisio.training.stateful_iteration import StatefulIteration, behind
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet

try:
    from torch.utils.data import Dataset, IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISIterDataset", "AISMapDataset", "read_object"]


class AISMapDataset(Dataset[tuple[str, bytes]]):
    """Objects by index: `dataset[i]` is (name, bytes).

    The constructor lists the sources, once.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, objects
            or patterns, folders, names in a catalog.
        prefix_map: For some of these sources, the prefix, pattern or object to read, or several;
            all objects otherwise.
        etl_name: Have the cluster transform each object by this ETL.
        client: The cluster for sources given as URLs; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        concurrency: How many objects of a batch are read at once, or bounds for it; by default at
            most 8 at first, then as many as the store handles best.
        allow_empty: Accept a source without objects, or a prefix that no name begins with; by
            default that is an error.

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
        owner = type(self).__name__
        sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=owner,
            client=explicit_client(client, endpoint),
            direct=direct,
            allow_empty=allow_empty,
        )
        self._etl_name = etl_name
        self._limit = AdaptiveLimit(Concurrency.of(concurrency))
        self._epoch_stats = EpochStats(owner, "object")
        self._objects = SharedListing(sources).table()

    def __len__(self) -> int:
        return len(self._objects)

    @cached_property
    def data_digest(self) -> str:
        """Identifies the objects and their order: the digest of their listing, by their URLs.

        `aisio.Loader` compares it, so that a state of other data is refused.
        """
        digest = ListingDigest("")
        for _, info in self._objects:
            digest.add(info)
        return digest.text()

    @property
    def names(self) -> Sequence[str]:
        """Names of the objects, in their order, each made when it is looked at."""
        return SampleNames(len(self._objects), partial(_name_of, self._objects))

    @property
    def sizes(self) -> Sequence[int]:
        """Sizes of the objects in bytes, in their order, by the listing: no request is sent.

        They are an array, which takes 8 bytes an object, made anew each time.

        Raises:
            ConfigError: The listing has no size of an object, as of one that is named by its URL.
        """
        sizes = self._objects.sizes()
        if -1 in sizes:
            name = self.names[sizes.index(-1)]
            raise ConfigError(
                f"<{type(self).__name__}> the listing has no size of {one_line(name)}"
            )
        return sizes

    def stats(self) -> dict[str, Any]:
        """Return where the time of all reads so far went, of all workers."""
        return self._epoch_stats.totals()

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        with self._epoch_stats.count_call(1, current_worker()):
            return read_object(self._listed(index), self._etl_name)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[str, bytes]]:
        """Return the objects at several indices, in their order; a DataLoader calls this."""
        if type(self).__getitem__ is not AISMapDataset.__getitem__:
            # A subclass's own may return anything, and threads may not be able to call it.
            return [self[index] for index in indices]
        read = _read_in_order(map(self._listed, indices), self._etl_name, self._limit)
        with self._epoch_stats.count_call(len(indices), current_worker()):
            return list(read)

    def _listed(self, index: int) -> ListedObject:
        number = operator.index(index)
        try:
            return self._objects[number]
        except IndexError:
            raise IndexError(
                f"<{type(self).__name__}> index must be in bounds of dataset"
            ) from None


class AISIterDataset(SplitDataset, IterableDataset[tuple[str, bytes]]):
    """Objects in listing order as (name, bytes), split over ranks and DataLoader workers.

    The sources are listed once, when an object is first needed; see `relist`. Each iteration looks
    up rank and worker when it starts: item i goes to rank i mod ranks, and the rank's j-th item to
    its worker j mod workers.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, objects
            or patterns, folders, names in a catalog.
        prefix_map: For some of these sources, the prefix, pattern or object to read, or several;
            all objects otherwise.
        etl_name: Have the cluster transform each object by this ETL.
        show_progress: Count on stderr, if that is a terminal, what each worker reads.
        partition_sources_by_worker: Give each worker whole sources, so that no two workers list the
            same source. Workers beyond the number of sources have nothing to do.
        client: The cluster for sources given as URLs; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        concurrency: How many objects each worker reads at once, or bounds for it; by default at
            most 8 at first, then as many as the store handles best.
        length: What `len()` returns; by default there is no length: see `count` and
            `count_batches`.
        split: What divides the dataset: "rank+worker"; "worker", which is ranks=None; or "none",
            where each worker reads all.
        ranks: Which rank this is, as `aisio.Loader` takes it. None, where each rank reads all: for
            a tool such as Accelerate, which splits the DataLoader over ranks itself.
        equalize: "drop" leaves out fewer objects than there are ranks, so that all ranks make as
            many batches, in DataLoaders with the same arguments; "pad" repeats as few. "none" does
            neither, and ranks may differ by an object.
        allow_empty: Accept a source without objects, or a prefix that no name begins with; by
            default that is an error.

    Raises:
        ValueError: No source.
        NotFoundError: At iteration: a bucket does not exist, or a source has no object.
        ConfigError: length is below 0, or there is no such split; at iteration: the environment
            says an impossible rank (`aisio.training.ranks`).
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
        ranks: Ranks = "auto",
        equalize: Equalize = "none",
    ) -> None:
        super().__init__(
            SourceSet(
                ais_source_list,
                prefix_map,
                owner=type(self).__name__,
                client=explicit_client(client, endpoint),
                direct=direct,
                allow_empty=allow_empty,
            ),
            etl_name=etl_name,
            show_progress=show_progress,
            by_source=partition_sources_by_worker,
            length=length,
            options=SplitOptions(split, ranks, equalize),
        )
        self._concurrency = Concurrency.of(concurrency)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        partition = self._partition()
        return StatefulIteration(partial(self._items_from, partition), partition)

    def _items_from(
        self, partition: Partition, start: int, last: str
    ) -> Iterator[tuple[str, bytes]]:
        """Return a partition's items from one on, without reading those before it; see `behind`."""
        share = behind(self._my_share(partition), start, last, lambda listed: listed[1].name)
        return self._counted(self._read_all(share))

    def _read_all(self, share: Iterator[ListedObject]) -> Iterator[tuple[str, bytes]]:
        return _read_in_order(share, self._etl_name, AdaptiveLimit(self._concurrency))


def _name_of(objects: ListingTable, index: int) -> str:
    return objects[index][1].name


def read_object(listed: ListedObject, etl_name: str | None = None) -> tuple[str, bytes]:
    """Return name and bytes of an object; errors as for `Source.read`."""
    source, info = listed
    return info.name, source.read(info, etl_name=etl_name)


def _send_ahead(listed: ListedObject, etl_name: str | None) -> PendingGet | None:
    source, info = listed
    return source.send_ahead(info, etl_name=etl_name)


def _read_in_order(
    share: Iterable[ListedObject], etl_name: str | None, limit: AdaptiveLimit
) -> Iterator[tuple[str, bytes]]:
    return fetch_in_order(
        share,
        partial(read_object, etl_name=etl_name),
        send_ahead=partial(_send_ahead, etl_name=etl_name),
        limit=limit,
        size_of=lambda listed: listed[1].size_bytes,
        result_bytes=lambda item: len(item[1]),
    )
