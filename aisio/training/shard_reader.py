"""AISShardReader: the samples of tar shards.

Name and arguments are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
The constructor has more than 8 arguments for that reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, Literal

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import (
    AisioError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    ShardError,
)
from aisio.extras import missing_extra
from aisio.patterns.name_patterns import Patterns
from aisio.records import ObjectInfo
from aisio.shards.fields import NewFields
from aisio.shards.index_build import IndexRecorder
from aisio.shards.names import ShardNames
from aisio.shards.prefetch import Prefetch, Shard, ShardStream
from aisio.shards.reader import ShardPass
from aisio.shards.samples import Sample
from aisio.sources.base import Source
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings
from aisio.training.decoding import Decode
from aisio.training.equal_shards import EqualShards, check_equalize, shards_from
from aisio.training.folder_labels import LabelFrom
from aisio.training.item_options import ItemOptions
from aisio.training.quarantine import Quarantine, SkippedShard, is_network_fault
from aisio.training.reader_index import IndexMode, ReaderIndex
from aisio.training.sample_items import SampleItems
from aisio.training.shard_iteration import ShardIteration, ShardPlace, ShardTrail
from aisio.training.shard_links import linked_shard
from aisio.training.skipped_samples import SkippedSample
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject, SplitDataset
from aisio.training.split_options import Equalize, Ranks, Split, SplitOptions

try:
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISShardReader"]

# Enough to have the next shard open. Measured on a busy machine of 2 cores (2026-11, 70 KB
# samples): 5 to 30 % more samples a second than without, at the same processor time. More than this
# gave nothing, and does not fit the processor's cache.
PREFETCH_BYTES = 4 * 1024 * 1024

_log = logging.getLogger("aisio.shard_reader")
# What is wrong with one shard. A store that cannot be reached, or refuses access, is not among
# these; nor is a connection that broke until the retries were spent, see `is_network_fault`.
_BAD_SHARD = (ShardError, IntegrityError, NotFoundError)


class AISShardReader(SplitDataset, IterableDataset[Any]):
    """Samples of tar shards as (basename, {extension: bytes}), or as its arguments say.

    Shards are split over ranks and DataLoader workers, and streamed: memory holds one buffer, one
    sample, and the beginnings of the next shards, whatever a shard's size. The files of a sample
    are adjacent in its shard; `aisio.shards.reader` says how names give keys, and which members
    belong to no sample. Shards may be compressed; see `aisio.formats.decompress`.

    Every sample has the same extensions, padded with b"": those of `keys`, or those of the first
    samples of the worker's share. So torch's default collate works. If none of the first samples
    has an extension of `keys`, one warning says so.

    Args:
        bucket_list: Sources of shards, or one of them: buckets, object groups, URLs of prefixes,
            shards or patterns, folders, names in a catalog.
        prefix_map: For some of these sources, the prefix, pattern or shard to read, or several;
            all shards otherwise.
        etl_name: Have the cluster transform each shard by this ETL.
        show_progress: Count on stderr, if that is a terminal, the samples each worker reads.
        partition_sources_by_worker: Give each worker whole sources, so that no two workers list the
            same source. Workers beyond the number of sources have nothing to do.
        keys: Extensions to yield, without their leading dot; other members are left out.
        fields: Yield tuples of these extensions' bytes, in place of names and dicts. A sample that
            lacks one is an error. "__key__" is the whole key, "jpg;png" the first one.
        new_fields: Without `keys`, what happens when an extension first appears after the first
            samples: "raise" a ShardError, or "add" it from there on, with a warning. torch's
            default collate drops it from the batch in which it is added.
        full_key: Yield the whole key ("n01440764/1") instead of its last part alone ("1"), as for
            `AISShardDataset`.
        decode: How to decode fields, as for `AISShardDataset`.
        label_from: What gives a sample its class, as for `AISShardDataset`.
        transform: Called with each sample, as for `AISShardDataset`.
        classes: The folders in the order of their numbers, for `label_from`; by default all
            folders, sorted, by the index, which must have all shards.
        interleaved: Accept shards in which the files of a sample are not adjacent; memory then
            holds a whole shard.
        on_error: What to do with a bad shard: "raise", or "skip" the rest of it, with a warning in
            the log and an entry in `quarantine`. A shard is bad if it is missing, cut, damaged or
            not a tar, or if its checksum or size is wrong, which shows at its end. A store that
            cannot be reached raises in any case, and so does a connection that breaks until the
            retries are spent. "skip" also leaves out samples that cannot be decoded.
        prefetch_bytes: Maximum number of bytes held of the next shards; 0 holds none.
        length: What `len()` returns: a number; or "index": what this rank yields, by the index,
            which must have all its shards. By default there is no length: see `count`.
        split: What divides the dataset: "rank+worker"; "worker", which is ranks=None; or "none",
            where each worker reads all.
        ranks: Which rank this is, as `aisio.Loader` takes it. None, where each rank reads all: for
            a tool such as Accelerate, which splits the DataLoader over ranks itself.
        equalize: "drop" leaves out fewer samples than there are ranks, so that all ranks make as
            many batches, in DataLoaders with the same arguments; "pad" repeats as few. Both need
            the index of all shards. "none" does neither: ranks and workers take whole shards.
        client: The cluster for sources given as URLs; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        shard_names: Which objects of a listing are shards, by the last part of their names: a
            pattern, or several; by default those that end as tar files do (`aisio.shards.names`).
        include: Patterns for names of shards to read; see `aisio.patterns.name_patterns`.
        exclude: Patterns for names of shards to leave out.
        allow_empty: Accept a source without objects, or a prefix that no name begins with.
        index: "use" counts the samples of a shard by its index, where there is one of this version,
            beside the data or in the cache; others are read for it. "build" also indexes shards
            that an iteration reads whole, into the cache. See `aisio.shards.index_loading`.

    Raises:
        ValueError: No source.
        NotFoundError: At iteration: a bucket or shard does not exist, or a source has no shard.
        ConfigError: An argument has no such value; at iteration: the environment says an impossible
            rank (`aisio.training.ranks`).
        DecodeError: At iteration: a field cannot be decoded.
        ShardError: At iteration: a shard is cut, damaged or not a tar, or its members do not form
            samples. It is a `tarfile.TarError` too, and names shard, offset and cause.
        IntegrityError: At iteration: the bytes are not the ones the store promised.
    """

    LISTED = "shard"
    YIELDED = "sample"

    def __init__(
        self,
        bucket_list: Any = (),
        prefix_map: PrefixMap | None = None,
        etl_name: str | None = None,
        show_progress: bool = False,
        partition_sources_by_worker: bool = False,
        *,
        keys: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        new_fields: NewFields = "raise",
        full_key: bool | None = None,
        decode: Decode | None = None,
        label_from: LabelFrom | None = None,
        classes: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        interleaved: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        prefetch_bytes: int = PREFETCH_BYTES,
        length: int | Literal["index"] | None = None,
        split: Split = "rank+worker",
        ranks: Ranks = "auto",
        equalize: Equalize = "none",
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        shard_names: str | Sequence[str] | None = None,
        include: Patterns = None,
        exclude: Patterns = None,
        allow_empty: bool = False,
        index: IndexMode | None = "use",
    ) -> None:
        reader = type(self).__name__
        options = ItemOptions(
            keys=keys,
            fields=fields,
            full_key=full_key,
            new_fields=new_fields,
            decode=decode,
            label_from=label_from,
            classes=classes,
            on_error=on_error,
            transform=transform,
        )
        self._items = SampleItems(options, owner=reader, whole="this share")
        check_equalize(
            equalize,
            on_error=on_error == "skip",
            partition_sources_by_worker=partition_sources_by_worker,
            etl_name=bool(etl_name),
            index=index is None,
        )
        if prefetch_bytes < 0:
            raise ConfigError(f"prefetch_bytes={prefetch_bytes}: 0 or more is needed")
        if isinstance(length, str) and (length != "index" or index is None):
            raise ConfigError(
                f'length={length!r}, index={index!r}: a number, or "index", is needed'
            )
        sources = SourceSet(
            bucket_list,
            prefix_map,
            owner=reader,
            client=explicit_client(client, endpoint),
            direct=direct,
            name_filter=ShardNames(shard_names),
            allow_empty=allow_empty,
            include=include,
            exclude=exclude,
        )
        super().__init__(
            sources,
            etl_name=etl_name,
            show_progress=show_progress,
            by_source=partition_sources_by_worker,
            length=None if length == "index" else length,
            options=SplitOptions(split, ranks, equalize),
        )
        self._index = ReaderIndex(sources, index, reader, has_etl=bool(etl_name) or sources.has_etl)
        self._has_indexed_length = length == "index"
        self._equal = None if equalize == "none" else EqualShards(self._index, equalize, reader)
        self._interleaved = interleaved
        self._prefetch_bytes = prefetch_bytes
        self._quarantine = Quarantine() if on_error == "skip" else None

    @property
    def quarantine(self) -> tuple[SkippedShard, ...]:
        """The shards that on_error="skip" skipped so far, in all epochs and by all workers.

        The workers of a DataLoader report them to the reader that the DataLoader was given.
        """
        return self._quarantine.entries() if self._quarantine is not None else ()

    @property
    def skipped_samples(self) -> tuple[SkippedSample, ...]:
        """The samples that on_error="skip" left out so far, as they could not be decoded."""
        return self._items.skipped

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders in the order of their numbers, where `label_from` numbers them; else ().

        Raises:
            ConfigError: They were not given, and a shard has no index.
        """
        if self._items.needs_classes:
            self._items.set_classes(self._index.folders(self._listing.rows()))
        return self._items.classes

    def __len__(self) -> int:
        """Return `length=`; for "index", what this rank yields.

        Raises:
            TypeError: There is no length.
            ConfigError: length="index", and a shard has no index.
        """
        if not self._has_indexed_length:
            return super().__len__()
        partition = self.partition().whole_rank
        if self._equal is not None:
            return self._count_once(partition)
        if partition not in self._counts:
            self._counts[partition] = sum(
                self._index.require_count(*listed) for listed in self._list_share(partition)
            )
        return self._counts[partition]

    @property
    def shuffles(self) -> str:
        """See `PipelineSource`: its shards, unless equalize= cuts the line of all samples."""
        return "shard" if self._equal is None else ""

    def __iter__(self) -> Iterator[Any]:
        if self._quarantine is not None and get_worker_info() is None:
            self._quarantine.detach()
            self._items.detach_skipped()
        partition, patterns = self.partition(), self._sources.patterns
        return ShardIteration(
            lambda trail: self._counted(self._epoch(partition, trail)), partition, patterns
        )

    def _epoch(self, partition: Partition, trail: ShardTrail) -> Generator[Any, None, None]:
        _ = self.classes  # labels need them
        with ExitStack() as stack:
            shards = self._share_of(partition, trail.start)
            if self._prefetch_bytes:
                shards = stack.enter_context(self._prefetch(shards))
            # Closed here: whoever keeps an error keeps its frames, and the open shard in them.
            samples = stack.enter_context(closing(self._samples(shards, trail)))
            yield from self._items_of(samples, trail)

    def _items_of(self, samples: Iterator[Sample], trail: ShardTrail) -> Iterator[Any]:
        """Yield what is made of the samples of an epoch; the trail is told of each of these."""
        return self._items.stream(samples, trail.start.fields, trail.take)

    def _share_of(self, partition: Partition, start: ShardPlace) -> Iterable[Shard]:
        if self._equal is not None:
            return self._equal.shards(self._listing.rows(), partition, start)
        # Where bad shards are skipped, the first one is to be skipped at the same place.
        find = self._index.find if self._quarantine is None else None
        return shards_from(self._my_share(partition), start, self._shard, find)

    def _shard(self, source: Source, info: ObjectInfo) -> Shard:
        shard = linked_shard(source, info, self._etl_name)
        return shard._replace(info=self._index.completed(source, info))

    def _prefetch(self, shards: Iterable[Shard]) -> Prefetch:
        return Prefetch(shards, self._prefetch_bytes)

    def _samples(self, shards: Iterable[Shard], trail: ShardTrail) -> Generator[Sample, None, None]:
        read = 0
        for number, shard in enumerate(shards, trail.start.shard):
            trail.enter(number, shard.info.name, read)
            read += yield from self._read(shard)

    def _read(self, shard: Shard) -> Generator[Sample, None, int]:
        """Yield the samples of a shard, and return how many they were."""
        if shard.part is not None and shard.part.is_empty:
            return 0
        shard_pass: ShardPass | None = None
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(closing(shard.open()))
                # With equalize= each shard has an index, and the stream may be a part of one.
                recorder = None if self._equal else self._index.recorder(shard.info, stream)
                shard_pass = self._pass_over(shard, stream, recorder=recorder)
                yield from shard.wanted(shard_pass.samples())
                if recorder is not None:
                    self._index.keep(recorder, shard.info)
            except _BAD_SHARD as error:
                if self._quarantine is None or is_network_fault(error):
                    raise
                self._skip(self._quarantine, shard, error, shard_pass)
        return shard.count_wanted(shard_pass.yielded) if shard_pass is not None else 0

    def _pass_over(
        self,
        shard: Shard,
        stream: ShardStream,
        *,
        payloads: bool = True,
        recorder: IndexRecorder | None = None,
    ) -> ShardPass:
        shard_pass = ShardPass(
            stream if recorder is None else recorder,
            url=shard.info.url,
            keys=self._items.wanted,
            payloads=payloads,
            interleaved=self._interleaved,
            reader=type(self).__name__,
            on_member=None if recorder is None else recorder.on_member,
            links=shard.links,
        )
        if recorder is not None:
            recorder.observe(shard_pass)
        return shard_pass

    def _skip(
        self, quarantine: Quarantine, shard: Shard, error: AisioError, shard_pass: ShardPass | None
    ) -> None:
        offset = error.offset if isinstance(error, ShardError) else None
        yielded = shard_pass.yielded if shard_pass is not None else 0
        lost = shard_pass.count_lost() if shard_pass is not None else None
        quarantine.add(SkippedShard(shard.info.url, offset, str(error), yielded, lost))
        _log.warning(
            "<%s> skipped a bad shard after %d of its samples (%s lost): %s",
            type(self).__name__,
            yielded,
            "unknown how many" if lost is None else lost,
            error,
        )

    def _count(self, partition: Partition) -> int:
        """Count the samples of a partition.

        Shards without an index are read whole. It neither counts nor records what on_error="skip"
        skips.
        """
        self._index.forget()
        if self._equal is not None:
            return self._equal.count(self._listing.rows(), partition)
        return sum(map(self._count_samples, self._list_share(partition)))

    def _count_samples(self, listed: ListedObject) -> int:
        indexed = self._index.count(*listed)
        if indexed is not None:
            return indexed
        count = 0
        try:
            shard = self._shard(*listed)
            with closing(shard.open()) as stream:
                for _ in self._pass_over(shard, stream, payloads=False).samples():
                    count += 1
        except _BAD_SHARD as error:
            if self._quarantine is None or is_network_fault(error):
                raise
        return count
