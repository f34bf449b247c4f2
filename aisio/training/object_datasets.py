"""AISMapDataset and AISIterDataset: whole objects as samples, by index or in listing order.

Names and arguments are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
Constructors have more than 8 arguments for that reason.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import NotFoundError
from aisio.extras import missing_extra
from aisio.records import Concurrency
from aisio.sources.manifest import ManifestParser
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings
from aisio.training.epoch_stats import EpochStats
from aisio.training.listed_objects import ListedObjects
from aisio.training.listing.shared_listing import SharedListing
from aisio.training.missing_objects import GoneObjects, OnMissing, require_no_equalize
from aisio.training.object_constructors import (
    IterOptions,
    MapOptions,
    Place,
    manifest_source,
    objects_source,
    prefix_source,
    takes_options_of,
    url_source,
)
from aisio.training.object_items import ObjectItems, ReadObject, Transform
from aisio.training.process_rank import current_worker
from aisio.training.split import Partition
from aisio.training.split_dataset import ListedObject, SplitDataset
from aisio.training.split_options import Equalize, Ranks, Split, SplitOptions
from aisio.training.stateful_iteration import Step, StepIteration, behind
from aisio.transport.concurrency.limit import AdaptiveLimit

try:
    from torch.utils.data import Dataset, IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["AISIterDataset", "AISMapDataset"]


class AISMapDataset(ListedObjects, Dataset[Any]):
    """Objects by index: `dataset[i]` is (name, bytes), or what `transform` returns.

    The constructor lists the sources, once. Other constructors, for one kind of source each:
    `from_prefix`, `from_objects`, `from_manifest_file` and `from_url`.

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
        skip_empty: Leave out listed objects of no bytes, with a warning in the log; by default they
            are data. Those that a source names are read.
        transform: Called with the `aisio.DataObject`, in the thread that reads the dataset; what it
            returns is the item.
        on_missing: For an object that is gone since it was listed: "raise" NotFoundError; "none":
            the item is None, or what `transform` makes of None; "skip": a batch leaves it out, with
            a warning in the log, and `dataset[i]` raises NotFoundError.

    Raises:
        ValueError: No source.
        NotFoundError: A bucket does not exist, or a source has no object.
        ConfigError: `transform` cannot be called, or there is no such `on_missing`.
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
        skip_empty: bool = False,
        transform: Transform | None = None,
        on_missing: OnMissing = "raise",
    ) -> None:
        owner = type(self).__name__
        sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=owner,
            client=explicit_client(client, endpoint),
            direct=direct,
            allow_empty=allow_empty,
            skip_empty=skip_empty,
        )
        self._items = ObjectItems(etl_name, transform, on_missing, owner)
        self._limit = AdaptiveLimit(Concurrency.of(concurrency))
        self._epoch_stats = EpochStats(owner, "object")
        ListedObjects.__init__(self, SharedListing(sources).table(), etl_name)

    @classmethod
    @takes_options_of(__init__)
    def from_prefix(cls, url: Place, **options: Unpack[MapOptions]) -> Self:
        """Read all objects whose URLs begin with a text; no character of it is a pattern.

        Args:
            url: The text, as in "s3://bucket/train/"; or the path of a local folder.
            **options: Those of the class.

        Raises:
            ConfigError: The text is empty.
            UrlError: It is no URL.
        """
        return cls(prefix_source(cls.__name__, url, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_objects(cls, urls: Place | Iterable[Place], **options: Unpack[MapOptions]) -> Self:
        """Read these objects, in this order; whether they exist shows when they are read.

        Args:
            urls: URLs, or paths of local files; or one of them. No character is a pattern.
            **options: Those of the class.

        Raises:
            ConfigError: There is none.
            UrlError: One of them is not the URL of an object.
        """
        return cls(objects_source(cls.__name__, urls, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_manifest_file(
        cls,
        path_or_url: Place,
        parser: ManifestParser,
        base_url: Place,
        **options: Unpack[MapOptions],
    ) -> Self:
        """Read the objects that a manifest lists, in its order; see `DataObject.label`.

        Args:
            path_or_url: The manifest: the path of a local file, or the URL of an object.
            parser: Gets the manifest as a binary file and yields (key, label) of each object, as
                `aisio.imagenet_manifest_parser` does.
            base_url: What stands before each key to make it a URL, literally; "" where the keys are
                URLs. Or the path of a local folder.
            **options: Those of the class.

        Raises:
            ConfigError: An argument is empty, or the parser yields something else.
            NotFoundError: There is no such manifest, or it lists no object.
            UrlError: The manifest's URL is not valid, or a key makes no URL of an object.
        """
        own = manifest_source(cls.__name__, path_or_url, parser, base_url, options)
        return cls(own, **options)

    @classmethod
    @takes_options_of(__init__)
    def from_url(cls, url: Any, **options: Unpack[MapOptions]) -> Self:
        """Read whatever `aisio.source` takes: a URL or pattern, a bucket, a name in a catalog.

        Args:
            url: The source.
            **options: Those of the class.

        Raises:
            ConfigError: It is empty, or no source.
            UrlError: A URL is not valid.
        """
        return cls(url_source(cls.__name__, url, options), **options)

    def stats(self) -> dict[str, Any]:
        """Return where the time of all reads so far went, of all workers."""
        return self._epoch_stats.totals()

    def __getitem__(self, index: int) -> Any:
        with self._epoch_stats.count_call(1, current_worker()):
            return self._items.read_item(self._listed(index))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the objects at several indices, in their order; a DataLoader calls this.

        Raises:
            NotFoundError: One of them is gone, with on_missing="raise"; or all are, with "skip".
        """
        if type(self).__getitem__ is not AISMapDataset.__getitem__:
            # A subclass's own may return anything, and threads may not be able to call it.
            return [self[index] for index in indices]
        gone = GoneObjects(type(self).__name__)
        read = self._items.read_in_order(map(self._listed, indices), self._limit)
        with self._epoch_stats.count_call(len(indices), current_worker(), lambda: gone.count):
            items = [self._items.item(one) for one in read if not self._items.skips(one, gone)]
        gone.log()
        if gone.count and not items:
            raise NotFoundError(
                f"<{type(self).__name__}> all {gone.count} objects of a batch are gone since they"
                " were listed, and on_missing='skip' leaves nothing of it: list the source anew"
            )
        return items

    def _listed(self, index: int) -> ListedObject:
        number = operator.index(index)
        try:
            return self._objects[number]
        except IndexError:
            raise IndexError(
                f"<{type(self).__name__}> index must be in bounds of dataset"
            ) from None


class AISIterDataset(SplitDataset, IterableDataset[Any]):
    """Objects in listing order, split over ranks and DataLoader workers.

    An item is (name, bytes), or what `transform` returns. Other constructors, for one kind of
    source each: `from_prefix`, `from_objects`, `from_manifest_file` and `from_url`.

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
        transform: Called with the `aisio.DataObject`, whose bytes are there, in the thread that
            iterates; what it returns is the item.
        on_missing: For an object that is gone since it was listed: "raise" NotFoundError; "none":
            the item is None, or what `transform` makes of None; "skip": leave it out, counted in
            `stats()`, with a warning in the log at the end.

    Raises:
        ValueError: No source.
        NotFoundError: At iteration: a bucket does not exist, or a source has no object.
        ConfigError: length is below 0, `transform` cannot be called, or there is no such split or
            `on_missing`; at iteration: the environment says an impossible rank
            (`aisio.training.ranks`).
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
        skip_empty: bool = False,
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
            ),
            etl_name=etl_name,
            show_progress=show_progress,
            by_source=partition_sources_by_worker,
            length=length,
            options=SplitOptions(split, ranks, equalize),
        )
        self._concurrency = Concurrency.of(concurrency)
        self._items = ObjectItems(etl_name, transform, on_missing, type(self).__name__)
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

    def __iter__(self) -> Iterator[Any]:
        partition = self._partition()
        return StepIteration(partial(self._steps_from, partition), partition)

    def _steps_from(self, partition: Partition, start: int, last: str) -> Iterator[Step]:
        """Return a partition's items from one on, without reading those before it; see `behind`."""
        share = behind(self._my_share(partition), start, last, lambda listed: listed[1].name)
        gone = GoneObjects(type(self).__name__)
        steps = self._items.steps(self._read_all(share), gone, start)
        return self._counted(steps, lambda: gone.count)

    def _read_all(self, share: Iterator[ListedObject]) -> Iterator[ReadObject]:
        return self._items.read_in_order(share, AdaptiveLimit(self._concurrency))
