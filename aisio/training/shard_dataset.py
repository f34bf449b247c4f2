"""AISShardDataset: the samples of tar shards by index, read by ranges.

The constructor has more than 8 arguments: most of them are those of the other datasets.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeGuard, cast

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.extras import missing_extra
from aisio.freed_memory import keep_freed_memory
from aisio.patterns.name_patterns import Patterns
from aisio.records import Concurrency, ObjectInfo
from aisio.shards.fields import NewFields
from aisio.shards.index import ShardIndex
from aisio.shards.index_jobs import ListedShard
from aisio.shards.names import ShardNames
from aisio.shards.sample_reader import SampleReader
from aisio.shards.sample_runs import SampleRun
from aisio.shards.samples import Sample
from aisio.sources.base import url_of
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings, store_for
from aisio.summary import Summarized, counted, size_text
from aisio.training.dataset_index import IndexLike, common_folder, open_index
from aisio.training.decoding import Decode
from aisio.training.epoch_stats import EpochStats
from aisio.training.folder_labels import LabelFrom, folder_names
from aisio.training.item_options import ItemOptions
from aisio.training.listing.shared_listing import SharedListing
from aisio.training.map_words import MapWords, require_own_items
from aisio.training.process_rank import current_worker
from aisio.training.sample_items import FIRST_SAMPLES, SampleItems
from aisio.training.sample_names import SampleInfos, SampleNames
from aisio.training.skipped_samples import SkippedSample
from aisio.training.workers.pack_reading import LEAST_PACKS, PACK_BYTES
from aisio.training.workers.window_reader import WindowReader
from aisio.transport.concurrency.limit import AdaptiveLimit

try:
    from torch.utils.data import Dataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AISShardDataset", "reads_packs"]


class AISShardDataset(Summarized, MapWords, Dataset[Any]):
    """Samples of tar shards by index: `dataset[i]` is (basename, {extension: bytes}).

    Samples are numbered by shard, in the order of the listing, and by their places in it. Each is
    read by a ranged request, and verified by the hash that the shards' index has of it. `Loader`
    reads this dataset by packs: neighbours by one request, shuffled over all shards.

    Every sample has the same extensions, padded with b"": those of `keys`, or those of the first
    samples of the data set.

    The constructor lists the shards, once, and loads their index. `MapWords` has what may be done
    to the items.

    Args:
        bucket_list: Sources of shards, or one of them: buckets, object groups, URLs of prefixes,
            shards or patterns, folders, names in a catalog.
        prefix_map: For some of these sources, the prefix, pattern or shard to read, or several;
            all shards otherwise.
        keys: Extensions to yield, without their leading dot; other members are left out.
        fields: Yield tuples of these extensions' bytes, in place of names and dicts. A sample that
            lacks one is an error. "__key__" is the whole key. Of "jpg;png" each sample gives the
            first that it has.
        full_key: Yield the whole key, which is the path of the sample's files up to the first dot
            of the last part ("n01440764/1"), instead of its last part alone ("1"). None is False,
            with one warning if samples are in different folders and nothing shows which.
        new_fields: Without `keys`, what happens with an extension that none of the first samples
            has: "raise" a ShardError, or "add" it from there on, with a warning.
        decode: Decode the fields, in the process that reads them: "torch", "numpy" or "pil" for all
            known formats, of which images become that, or a mapping of extensions to decoders. See
            `aisio.training.decoding`.
        label_from: "folder" makes a field "cls": the number of the sample's last folder among
            `classes`.
        classes: The folders in the order of their numbers; by default all folders that the index
            has, sorted.
        on_error: What to do with a sample that cannot be decoded: "raise", or "skip" it, with a
            warning in the log and an entry in `skipped_samples`. The batch then has fewer samples;
            a batch without any raises. So do 100 in a row.
        transform: Called with each item, in the process that reads it; what it returns takes the
            item's place.
        index: Where the index is. "auto" takes it from beside the data or from the cache, and
            builds what is missing or stale into the cache, which reads these shards once.
            "require" takes it from there or raises. Or the path or URL of an index file, or an
            index.
        client: The cluster for sources given as URLs; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        shard_names: Which objects of a listing are shards, by the last part of their names: a
            pattern, or several; by default those that end as tar files do.
        include: Patterns for names, as in "train/*": only shards that match one are read; see
            `aisio.patterns.name_patterns`.
        exclude: Patterns for names: shards that match one are left out.
        concurrency: How many requests are in flight at once, or bounds for it; by default at most 8
            at first, then as many as the store handles best.
        allow_empty: Accept a source without objects, or a prefix that no name begins with; by
            default that is an error.

    Attributes:
        PACK_BYTES: How many bytes the neighbours have that `Loader` reads by one request; a
            subclass may say another number. A state is of the same packs alone.
        LEAST_PACKS: How many packs a small data set has; they are smaller then.
        index: Where the samples are.
        sample_reader: Reads them.

    Raises:
        ValueError: No source.
        NotFoundError: A bucket does not exist, or a source has no shard.
        ConfigError: An argument has no such value, or there is no index ("require").
        ShardError: A shard that is indexed is cut, damaged or not a tar. When a sample is read: it
            lacks one of `fields`, has an extension that is not known, or no label.
        DecodeError: When a sample is read: a field cannot be decoded.
        MissingExtraError: A decoder needs a package that is not installed.
        IntegrityError: When a sample is read: its bytes are not those that were indexed, or its
            shard was replaced since.
    """

    PACK_BYTES: ClassVar[int] = PACK_BYTES
    LEAST_PACKS: ClassVar[int] = LEAST_PACKS

    def __init__(
        self,
        bucket_list: Any = (),
        prefix_map: PrefixMap | None = None,
        *,
        keys: Sequence[str] | None = None,
        fields: Sequence[str] | None = None,
        full_key: bool | None = None,
        new_fields: NewFields = "raise",
        decode: Decode | None = None,
        label_from: LabelFrom | None = None,
        classes: Sequence[str] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        transform: Callable[[Any], Any] | None = None,
        index: IndexLike = "auto",
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        shard_names: str | Sequence[str] | None = None,
        include: Patterns = None,
        exclude: Patterns = None,
        concurrency: int | Concurrency | None = None,
        allow_empty: bool = False,
    ) -> None:
        keep_freed_memory()
        owner = type(self).__name__
        if on_error == "skip" and decode is None:
            raise ConfigError(f'<{owner}> on_error="skip" skips nothing without decode=')
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
        self._items = SampleItems(options, owner=owner)
        own_client = explicit_client(client, endpoint)
        sources = SourceSet(
            bucket_list,
            prefix_map,
            owner=owner,
            client=own_client,
            direct=direct,
            name_filter=ShardNames(shard_names),
            allow_empty=allow_empty,
            include=include,
            exclude=exclude,
        )
        if sources.has_etl:
            raise ConfigError(
                f"<{owner}> an ETL transforms these shards: there is no index of that"
            )
        objects = SharedListing(sources).table()
        self.index = open_index(
            index,
            [
                ListedShard(source.completed(info), partial(source.get, info))
                for source, info in objects
            ],
            sources.place(),
            folder=common_folder(objects),
            find_store=partial(store_for, client=own_client, direct=direct),
            owner=owner,
            whole_place=shard_names is None and not sources.patterns,
        )
        if self._items.needs_classes:
            self._items.set_classes(folder_names(self.index.keys()))
        self.sample_reader = SampleReader(
            self.index,
            [(source.store_of(info), url_of(info)) for source, info in objects],
            keys=self._items.wanted,
            limit=AdaptiveLimit(Concurrency.of(concurrency)),
            reader=owner,
        )
        self._epoch_stats = EpochStats(owner, "sample")
        self._source = sources.summary

    def __repr__(self) -> str:
        samples, shards = counted(len(self), "sample"), counted(len(self.index.shards), "shard")
        return f"<{type(self).__name__} of {samples} in {shards}: {self._source}>"

    def _summary(self) -> Mapping[str, object]:
        sizes = self.index.sizes if all(shard.is_ranged for shard in self.index.shards) else ()
        summary = {
            "source": self._source,
            "samples": f"{len(self):,}",
            "shards": len(self.index.shards),
            "size": size_text(sum(sizes)) if sizes else "",
            "classes": len(self.classes),
        }
        return {name: value for name, value in summary.items() if value}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def data_digest(self) -> str:
        """Identifies the shards and their order, by URLs, sizes and versions.

        `aisio.Loader` compares it, so that a state of other data is refused.
        """
        return self.index.digest

    @cached_property
    def names(self) -> Sequence[str]:
        """The keys of all samples, each looked up in the index when it is asked for.

        Raises:
            ConfigError: The index has no names; at the first one.
        """
        return SampleNames(len(self.index), self.index.key)

    @property
    def infos(self) -> Sequence[ObjectInfo]:
        """What the index says of the samples, in their order: no request is sent.

        `root` is the URL of the sample's shard, `name` its key, `size_bytes` as in `sizes`; None
        where the index has no size. Each is made when it is looked at.

        Raises:
            ConfigError: The index has no names; at the first one.
        """
        return SampleInfos(len(self.index), partial(_info_of, self.index))

    @property
    def sizes(self) -> Sequence[int]:
        """Sizes of the samples in bytes, by the index: what they take in their shards.

        A file counts with its header of 512 bytes, and padded to a multiple of these.

        Raises:
            ConfigError: The samples of a shard cannot be read by ranges, as it is compressed: the
                index has no sizes of them.
        """
        for shard in self.index.shards:
            if shard.samples and not shard.is_ranged:
                raise ConfigError(
                    f"<{type(self).__name__}> the index has no sizes of the samples of"
                    f" {one_line(shard.url)}, which cannot be read by ranges: it is compressed, or"
                    " the files of a sample are not adjacent"
                )
        return cast("Sequence[int]", self.index.sizes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The folders in the order of their numbers, where `label_from` numbers them; else ()."""
        return self._items.classes

    @property
    def skipped_samples(self) -> tuple[SkippedSample, ...]:
        """The samples that on_error="skip" left out so far, of all workers."""
        return self._items.skipped

    def stats(self) -> dict[str, Any]:
        """Return where the time of all reads so far went, of all workers."""
        return self._epoch_stats.totals()

    def with_function(self, word: str, function: Callable[[Any], Any]) -> Self:
        """See `MapWords.with_function`; `Loader` reads that dataset by packs as well."""
        require_own_items(self, AISShardDataset, word)
        other = copy(self)
        other._items = self._items.with_function(word, function)
        return other

    def by_name(self, key: str) -> Any:
        """Return the item of the sample with a whole key, as in "n01440764/1".

        Raises:
            KeyError: There is no such sample, or the index has no names.
            ShardError: Two samples have this key.
        """
        return self[self.index.find(key)]

    def __getitem__(self, index: int) -> Any:
        number = self._number(index)
        with self._epoch_stats.count_call(1, current_worker()):
            self.learn_fields()
            return self._items.make(self.sample_reader.read_one(number))[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the items at several indices, in their order; a DataLoader calls this."""
        if type(self).__getitem__ is not AISShardDataset.__getitem__:
            # A subclass's own may return anything.
            return [self[index] for index in indices]
        numbers = list(map(self._number, indices))
        with self._epoch_stats.count_call(len(numbers), current_worker()):
            self.learn_fields()
            samples: dict[int, Sample] = {}
            for run in self.sample_reader.read(numbers):
                samples.update(run)
            return self._items.make([samples[number] for number in numbers])

    def take_items(self, samples: WindowReader[SampleRun, Sample], count: int) -> list[Any]:
        """See `PackDataset`."""
        with self._epoch_stats.count_call(count, current_worker()):
            self.learn_fields()
            return self._items.make(samples.take(count))

    def learn_fields(self) -> None:
        """Read the first samples, unless it is known which fields samples have.

        What a process has learned is known in those that it starts afterwards.
        """
        self._items.learn(self._first_samples)

    def _first_samples(self) -> Iterator[Sample]:
        runs = self.sample_reader.read(range(min(FIRST_SAMPLES, len(self))))
        return (sample for run in runs for _, sample in run)

    def _number(self, index: int) -> int:
        number, count = operator.index(index), len(self)
        if not -count <= number < count:
            raise IndexError(f"<{type(self).__name__}> index {number} of {count:,} samples")
        return number % count


def _info_of(index: ShardIndex, sample: int) -> ObjectInfo:
    span = index.span(sample)
    return ObjectInfo(index.shard(span.shard).url, index.key(sample), span.size_bytes or None)


def reads_packs(dataset: object) -> TypeGuard[AISShardDataset]:
    """Tell whether `Loader` may read a dataset by packs: not one that makes its own items."""
    kind = type(dataset)
    return isinstance(dataset, AISShardDataset) and all(
        getattr(kind, name) is getattr(AISShardDataset, name)
        for name in ("__len__", "__getitem__", "__getitems__", "take_items")
    )
