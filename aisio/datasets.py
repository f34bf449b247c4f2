"""AISMapDataset, AISIterDataset, AISShardReader: thin shells for torch over the rooms above.

Names and arguments are those of the official `aistore.pytorch`; what was added is keyword-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from aisio.client import Client
from aisio.config import world_from_environ
from aisio.extras import missing_extra
from aisio.progress import with_progress
from aisio.records import ObjectInfo
from aisio.shards import FieldPadder, Sample, ZeroDict, count_samples, read_samples
from aisio.sources import PrefixMap, Source, SourceSet
from aisio.split import Place

try:
    from torch import distributed
    from torch.utils.data import Dataset, IterableDataset, get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISIterDataset", "AISMapDataset", "AISShardReader"]


class AISMapDataset(Dataset[tuple[str, bytes]]):
    """Objects by index: `dataset[i]` is (name, bytes).

    The sources are listed once, at construction.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, folders.
        prefix_map: For some of these sources, the prefix or prefixes to take; all objects
            otherwise.
        etl_name: Have the cluster transform each object by this ETL.
        client: The cluster for sources given as URLs; without it one made from `endpoint`.
        endpoint: Its URL; without it AIS_ENDPOINT.

    Raises:
        ValueError: No source.
        NotFoundError: A bucket does not exist.
    """

    def __init__(
        self,
        ais_source_list: Any = (),
        prefix_map: PrefixMap | None = None,
        etl_name: str | None = None,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
    ) -> None:
        sources = SourceSet(
            ais_source_list, prefix_map, owner=type(self).__name__, client=_client(client, endpoint)
        )
        self._etl_name = etl_name
        self._objects = list(sources.list())

    def __len__(self) -> int:
        return len(self._objects)

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        try:
            one, info = self._objects[index]
        except IndexError:
            raise IndexError(
                f"<{type(self).__name__}> index must be in bounds of dataset"
            ) from None
        return info.name, one.read(info, etl_name=self._etl_name)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[str, bytes]]:
        """Return the objects at several indices, in their order; a DataLoader asks so."""
        return [self[index] for index in indices]


class _Split:
    """Knows which part of the job this process does, at the time of asking."""

    _rank_before_pickling: tuple[int, int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker has no process group and perhaps no RANK: it takes the rank of whoever
        # sent it.
        return self.__dict__ | {"_rank_before_pickling": self._rank()}

    def _rank(self) -> tuple[int, int]:
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return self._rank_before_pickling or world_from_environ()

    def _place(self) -> Place:
        worker = get_worker_info()
        if worker is None:
            return Place(*self._rank())
        return Place(*self._rank(), worker.id, worker.num_workers)

    def _title(self, place: Place) -> str:
        return f"{type(self).__name__} (Worker {place.worker})"


class AISIterDataset(_Split, IterableDataset[tuple[str, bytes]]):
    """Objects in listing order as (name, bytes), split over ranks and DataLoader workers.

    Each iteration lists anew. Rank and worker are read when it starts: item i goes to rank i mod
    ranks, and the rank's j-th item to its worker j mod workers.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, folders.
        prefix_map: For some of these sources, the prefix or prefixes to take; all objects
            otherwise.
        etl_name: Have the cluster transform each object by this ETL.
        show_progress: Count on stderr, if that is a terminal, what each worker reads.
        partition_sources_by_worker: Give each worker whole sources, so that none is listed by two
            of them. Workers beyond the number of sources have nothing to do.
        client: The cluster for sources given as URLs; without it one made from `endpoint`.
        endpoint: Its URL; without it AIS_ENDPOINT.

    Raises:
        ValueError: No source.
    """

    def __init__(
        self,
        ais_source_list: Any = (),
        prefix_map: PrefixMap | None = None,
        etl_name: str | None = None,
        show_progress: bool = False,
        *,
        partition_sources_by_worker: bool = False,
        client: Client | None = None,
        endpoint: str | None = None,
    ) -> None:
        super().__init__()
        self._sources = SourceSet(
            ais_source_list, prefix_map, owner=type(self).__name__, client=_client(client, endpoint)
        )
        self._etl_name = etl_name
        self._show_progress = show_progress
        self._by_source = partition_sources_by_worker

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        place = self._place()
        mine = with_progress(
            self._share(place),
            show=self._show_progress,
            title=self._title(place),
            unit="object",
            position=place.worker,
        )
        for one, info in mine:
            yield info.name, one.read(info, etl_name=self._etl_name)

    def _share(self, place: Place) -> Iterator[tuple[Source, ObjectInfo]]:
        if not self._by_source:
            return place.take(self._sources.list())
        return place.of_rank.take(self._sources.list(slice(place.worker, None, place.workers)))

    def __len__(self) -> int:
        """Return how many objects this rank reads, all its workers together; lists the sources."""
        count = sum(1 for _ in self._sources.list())
        return self._place().of_rank.share(count)


class AISShardReader(_Split, IterableDataset[tuple[str, ZeroDict]]):
    """Samples of tar shards as (basename, {extension: bytes}).

    Shards are split over ranks and DataLoader workers, and streamed: memory holds one buffer and
    one sample, whatever a shard's size. The files of a sample lie side by side in its shard; see
    `aisio.shards` for what is a sample's key and which members are none.

    Every sample has the same extensions, padded with b"": those of `keys`, or those that the first
    samples of the worker's share show. So the default collate works.

    Args:
        bucket_list: Sources of shards, or one of them: buckets, object groups, URLs of prefixes,
            folders.
        prefix_map: For some of these sources, the prefix or prefixes to take; all objects
            otherwise.
        etl_name: Have the cluster transform each shard by this ETL.
        show_progress: Count on stderr, if that is a terminal, the samples each worker reads.
        keys: Extensions to yield, without their leading dot; other members are left out.
        interleaved: Accept shards whose samples' files do not lie side by side; a whole shard is
            then held in memory.
        client: The cluster for sources given as URLs; without it one made from `endpoint`.
        endpoint: Its URL; without it AIS_ENDPOINT.

    Raises:
        ValueError: No source.
        ShardError: At iteration: a shard is cut, damaged, no tar, or its samples cannot be told
            apart. It is a `tarfile.TarError` too, and names shard, offset and cause.
        IntegrityError: At iteration: the bytes are not the ones the store promised.
    """

    def __init__(
        self,
        bucket_list: Any = (),
        prefix_map: PrefixMap | None = None,
        etl_name: str | None = None,
        show_progress: bool = False,
        *,
        keys: Sequence[str] | None = None,
        interleaved: bool = False,
        client: Client | None = None,
        endpoint: str | None = None,
    ) -> None:
        super().__init__()
        self._sources = SourceSet(
            bucket_list, prefix_map, owner=type(self).__name__, client=_client(client, endpoint)
        )
        self._etl_name = etl_name
        self._show_progress = show_progress
        self._keys = None if keys is None else tuple(keys)
        self._interleaved = interleaved

    def __iter__(self) -> Iterator[tuple[str, ZeroDict]]:
        place = self._place()
        samples = with_progress(
            self._samples(place),
            show=self._show_progress,
            title=self._title(place),
            unit="sample",
            position=place.worker,
        )
        for sample in FieldPadder(self._keys).pad(samples):
            assert isinstance(sample.fields, ZeroDict)
            yield sample.basename, sample.fields

    def _samples(self, place: Place) -> Iterator[Sample]:
        shards = place.take(self._sources.list())
        return chain.from_iterable(self._read(one, info) for one, info in shards)

    def _read(self, one: Source, info: ObjectInfo) -> Iterator[Sample]:
        with one.get(info, etl_name=self._etl_name) as body:
            yield from read_samples(
                body,
                url=info.url,
                keys=self._keys,
                interleaved=self._interleaved,
                reader=type(self).__name__,
            )

    def __len__(self) -> int:
        """Return how many samples this rank yields, all its workers together.

        There is no index yet: all its shards are read for it. So is `list(reader)`, which asks for
        the length first.
        """
        return sum(
            self._count(one, info) for one, info in self._place().of_rank.take(self._sources.list())
        )

    def _count(self, one: Source, info: ObjectInfo) -> int:
        with one.get(info, etl_name=self._etl_name) as body:
            return count_samples(
                body, info.url, interleaved=self._interleaved, reader=type(self).__name__
            )


def _client(client: Client | None, endpoint: str | None) -> Client | None:
    return client or (Client(endpoint) if endpoint else None)
