"""AISIterDataset: whole objects as samples, in listing order, split over ranks and workers.

Names and arguments are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
The constructor has more than 8 arguments for that reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.extras import missing_extra
from aisio.patterns.name_patterns import Patterns
from aisio.records import Concurrency
from aisio.sources.manifest import ManifestParser
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings
from aisio.training.chunk_shuffle import ChunkShuffle
from aisio.training.data_object import DataObject
from aisio.training.member_order import MemberOrder
from aisio.training.missing_objects import GoneObjects, OnMissing, require_no_equalize
from aisio.training.object_constructors import (
    IterOptions,
    Place,
    manifest_source,
    objects_source,
    prefix_source,
    takes_options_of,
    tar_source,
    url_source,
)
from aisio.training.object_items import ReadObject, Transform
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject, SplitDataset
from aisio.training.split_options import Equalize, Ranks, Split, SplitOptions
from aisio.training.stateful_iteration import StatefulIteration, Step, behind
from aisio.training.tar_members import items_of, order_of
from aisio.training.whole_number import whole_number
from aisio.transport.concurrency.limit import AdaptiveLimit

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from aisio.training.shared_epoch import SharedEpoch

__all__ = ["AISIterDataset"]


class AISIterDataset(SplitDataset, IterableDataset[Any]):
    """Objects in listing order, split over ranks and DataLoader workers.

    An item is (name, bytes), or what `transform` returns. Other constructors, for one kind of
    source each: `from_prefix`, `from_objects`, `from_manifest_file`, `from_tar` and `from_url`.

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
        skip_empty: Leave out listed objects of no bytes, with a warning in the log; by default they
            are data. Those that a source names are read.
        include: Patterns for names, as in "*.jpg" or "train/**/*.jpg": only objects that match one
            are read; see `aisio.patterns.name_patterns`.
        exclude: Patterns for names: objects that match one are left out.
        transform: Called with the `aisio.DataObject`, whose bytes are there, in the thread that
            iterates; what it returns is the item.
        on_missing: For an object that is gone since it was listed: "raise" NotFoundError; "none":
            the item is None, or what `transform` makes of None; "skip": leave it out, counted in
            `stats()`, with a warning in the log at the end.

    Raises:
        ValueError: No source.
        NotFoundError: At iteration: a bucket does not exist, or a source has no object.
        ConfigError: `length` is no whole number from 0 on, `transform` cannot be called, or there
            is no such split or `on_missing`; at iteration: the environment says an impossible rank
            (`aisio.training.ranks`).

    Attributes:
        DATA_OBJECT: Class of the objects that a transform gets.
    """

    DATA_OBJECT: ClassVar[type[DataObject]] = DataObject

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
        skip_empty: bool = False,
        include: Patterns = None,
        exclude: Patterns = None,
        split: Split = "rank+worker",
        ranks: Ranks = "auto",
        equalize: Equalize = "none",
        transform: Transform | None = None,
        on_missing: OnMissing = "raise",
    ) -> None:
        super().__init__(
            SourceSet(
                ais_source_list,
                prefix_map,
                owner=type(self).__name__,
                client=explicit_client(client, endpoint),
                direct=direct,
                allow_empty=allow_empty,
                skip_empty=skip_empty,
                include=include,
                exclude=exclude,
            ),
            etl_name=etl_name,
            show_progress=show_progress,
            by_source=partition_sources_by_worker,
            length=length,
            options=SplitOptions(split, ranks, equalize),
        )
        self._concurrency = Concurrency.of(concurrency)
        owner = type(self).__name__
        self._items = items_of(
            self._sources, etl_name, transform, on_missing, owner, self.DATA_OBJECT
        )
        self._order = order_of(self._sources)
        require_no_equalize(on_missing, equalize)

    @classmethod
    @takes_options_of(__init__)
    def from_prefix(cls, url: Place, **options: Unpack[IterOptions]) -> Self:
        """See `AISMapDataset.from_prefix`; nothing is read yet."""
        return cls(prefix_source(cls.__name__, url, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_objects(cls, urls: Place | Iterable[Place], **options: Unpack[IterOptions]) -> Self:
        """See `AISMapDataset.from_objects`; nothing is read yet."""
        return cls(objects_source(cls.__name__, urls, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_manifest_file(
        cls,
        path_or_url: Place,
        parser: ManifestParser,
        base_url: Place,
        **options: Unpack[IterOptions],
    ) -> Self:
        """See `AISMapDataset.from_manifest_file`; nothing is read yet."""
        own = manifest_source(cls.__name__, path_or_url, parser, base_url, options)
        return cls(own, **options)

    @classmethod
    @takes_options_of(__init__)
    def from_url(cls, url: Any, **options: Unpack[IterOptions]) -> Self:
        """See `AISMapDataset.from_url`; nothing is read yet."""
        return cls(url_source(cls.__name__, url, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_tar(
        cls,
        tar_url: Place,
        index_url: Place,
        *,
        shuffle: bool = False,
        shuffle_chunk_size: int = 1000,
        seed: int = 0,
        **options: Unpack[IterOptions],
    ) -> Self:
        """See `AISMapDataset.from_tar`; a worker reads neighbours in the tar. Nothing is read yet.

        Args:
            tar_url: The tar.
            index_url: Its index.
            shuffle: Read chunks of files in a random order; see `set_epoch`.
            shuffle_chunk_size: Number of files in a chunk.
            seed: Chooses the orders.
            **options: Those of the class.
        """
        order = MemberOrder(ChunkShuffle(shuffle_chunk_size, seed) if shuffle else None)
        return cls(tar_source(cls.__name__, tar_url, index_url, options, order), **options)

    def set_epoch(self, epoch: int) -> None:
        """Have the next iteration read in the order of an epoch, where that is shuffled.

        Call it on every rank. Running workers of a DataLoader see it too.

        Raises:
            ConfigError: It is no whole number from 0 on.
        """
        whole_number("epoch", epoch, 0)
        if self._order is not None:
            self._order.epoch.set(epoch)

    @property
    def shuffles(self) -> str:
        """See `PipelineSource`: the listing, but a tar's files have an order of their own."""
        return "object" if self._order is None else ""

    @property
    def shared_epoch(self) -> SharedEpoch | None:
        """See `PipelineSource`: processes read stretches of the order of a tar."""
        order = self._order
        return order.epoch if order is not None and order.is_shuffled else None

    def at_epoch(self, epoch: int, seed: int | None) -> Self:
        """See `PipelineSource`."""
        one = super().at_epoch(epoch, seed)
        if self._order is None or not self._order.is_shuffled:
            return one
        one = copy(one)
        one._order = self._order.at_epoch(epoch)
        return one

    def _list_share(self, partition: Partition, epoch: int = 0) -> Iterator[ListedObject]:
        if self._order is None:
            return super()._list_share(partition)
        return self._order.share(self._listing.table(), partition, self._equalize, epoch)

    def __iter__(self) -> Iterator[Any]:
        partition, epoch, order = self.partition(), 0, ""
        if self._order is not None:
            epoch = self._order.epoch.get()
            order = self._order.describe(epoch)
        begin = partial(self._steps_from, partition, epoch)
        return StatefulIteration(begin, partition, order, self._sources.patterns)

    def _steps_from(
        self, partition: Partition, epoch: int, start: int, last: str
    ) -> Iterator[Step]:
        """Return a partition's items from one on, without reading those before it; see `behind`."""
        listed = self._my_share(partition, partial(self._list_share, epoch=epoch))
        share = behind(listed, start, last, lambda listed: listed[1].name)
        gone = GoneObjects(type(self).__name__)
        steps = self._items.steps(self._read_all(share), gone, start)
        return self._counted(steps, lambda: gone.count)

    def _read_all(self, share: Iterator[ListedObject]) -> Iterator[ReadObject]:
        return self._items.read_in_order(share, AdaptiveLimit(self._concurrency))
