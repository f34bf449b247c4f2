"""AISShardReader: tar shards as samples, a thin shell for torch over sources and shards.

Name and arguments are those of the official `aistore.pytorch`; what was added is keyword-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from aisio.client import Client
from aisio.extras import missing_extra
from aisio.placing import Splitting, client_for
from aisio.progress import with_progress
from aisio.records import ObjectInfo
from aisio.shards import FieldPadder, Sample, ZeroDict, count_samples, read_samples
from aisio.sources import PrefixMap, Source, SourceSet
from aisio.split import Place
from aisio.stores import DirectSettings

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISShardReader"]


class AISShardReader(Splitting, IterableDataset[tuple[str, ZeroDict]]):
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
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.

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
        direct: bool | DirectSettings = False,
    ) -> None:
        super().__init__()
        self._sources = SourceSet(
            bucket_list,
            prefix_map,
            owner=type(self).__name__,
            client=client_for(client, endpoint),
            direct=direct,
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
