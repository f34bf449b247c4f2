"""AISMapDataset: whole objects as samples, by index.

Names and arguments are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
The constructor has more than 8 arguments for that reason.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import NotFoundError
from aisio.extras import missing_extra
from aisio.freed_memory import keep_freed_memory
from aisio.patterns.name_patterns import Patterns
from aisio.records import Concurrency
from aisio.sources.manifest import ManifestParser
from aisio.sources.source_set import PrefixMap, SourceSet
from aisio.stores import DirectSettings
from aisio.training.epoch_stats import EpochStats
from aisio.training.listed_objects import ListedObjects
from aisio.training.listing.shared_listing import SharedListing
from aisio.training.map_words import MapWords, require_own_items
from aisio.training.missing_objects import GoneObjects, OnMissing
from aisio.training.object_constructors import (
    MapOptions,
    Place,
    manifest_source,
    objects_source,
    prefix_source,
    takes_options_of,
    tar_source,
    url_source,
)
from aisio.training.object_items import Transform
from aisio.training.process_rank import current_worker
from aisio.training.split_dataset import ListedObject
from aisio.training.tar_members import items_of
from aisio.transport.concurrency.limit import AdaptiveLimit

try:
    from torch.utils.data import Dataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error
if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["AISMapDataset"]


class AISMapDataset(ListedObjects, MapWords, Dataset[Any]):
    """Objects by index: `dataset[i]` is (name, bytes), or what `transform` returns.

    The constructor lists the sources, once. Other constructors, for one kind of source each:
    `from_prefix`, `from_objects`, `from_manifest_file`, `from_tar` and `from_url`. `MapWords` has
    what may be done to the items.

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
        include: Patterns for names, as in "*.jpg" or "train/**/*.jpg": only objects that match one
            are read; see `aisio.patterns.name_patterns`.
        exclude: Patterns for names: objects that match one are left out.
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
        include: Patterns = None,
        exclude: Patterns = None,
        transform: Transform | None = None,
        on_missing: OnMissing = "raise",
    ) -> None:
        keep_freed_memory()
        owner = type(self).__name__
        sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=owner,
            client=explicit_client(client, endpoint),
            direct=direct,
            allow_empty=allow_empty,
            skip_empty=skip_empty,
            include=include,
            exclude=exclude,
        )
        self._items = items_of(sources, etl_name, transform, on_missing, owner, self.DATA_OBJECT)
        self._limit = AdaptiveLimit(Concurrency.of(concurrency))
        self._epoch_stats = EpochStats(owner, "object")
        ListedObjects.__init__(self, SharedListing(sources).table(), etl_name, sources.summary)

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

    @classmethod
    @takes_options_of(__init__)
    def from_tar(cls, tar_url: Place, index_url: Place, **options: Unpack[MapOptions]) -> Self:
        """Read the regular files of a tar by its index; they have their names in the tar.

        A transform gets a `DataObject` with the file's number as `label`. Names in `names` are
        these numbers, and `sizes` have headers and padding, as the index has neither.

        Args:
            tar_url: The tar, which is not compressed; or the path of a local one.
            index_url: Its index, as `aisio.pack_tar` or Alibaba's OSS connector writes it.
            **options: Those of the class. There is no ETL; a missing tar is always an error.

        Raises:
            ConfigError: An argument is empty, or the two are in different buckets.
            NotFoundError: There is no such tar, or no such index.
            ShardError: The index is damaged, or not that of the tar; also when a file is read.
        """
        return cls(tar_source(cls.__name__, tar_url, index_url, options), **options)

    def with_function(self, word: str, function: Callable[[Any], Any]) -> Self:
        """See `MapWords.with_function`."""
        require_own_items(self, AISMapDataset, word)
        other = copy(self)
        other._items = self._items.with_function(word, function)
        return other

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
