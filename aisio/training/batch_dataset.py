"""AISBatchIterDataset: whole objects as samples, many in one request.

Name and arguments are those of the official `aistore.pytorch`; what aisio adds is keyword-only.
The constructor has more than 8 arguments for that reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.batch_archive import BatchOptions, check_options
from aisio.client.client import Client
from aisio.errors import ConfigError, NotSupportedError
from aisio.limits import is_whole
from aisio.patterns.name_patterns import Patterns
from aisio.records import Concurrency
from aisio.sources.manifest import ManifestParser
from aisio.sources.source_set import PrefixMap
from aisio.stores import AisStore, DirectSettings
from aisio.training.missing_objects import OnMissing
from aisio.training.object_constructors import (
    BatchIterOptions,
    Place,
    manifest_source,
    objects_source,
    prefix_source,
    takes_options_of,
    url_source,
)
from aisio.training.object_items import ReadObject, Transform
from aisio.training.object_iter_dataset import AISIterDataset
from aisio.training.split_dataset import ListedObject
from aisio.training.split_options import Equalize, Ranks, Split
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["AISBatchIterDataset"]


class AISBatchIterDataset(AISIterDataset):
    """Objects in listing order, fetched by get-batch; items and split are those of AISIterDataset.

    A get-batch request costs the cluster a tenth of a second, however many objects it names, so
    several are in flight at once. It saves much of the work per object, in the cluster and in the
    client. It brings no checksums: aisio compares names and listed sizes. `Client.get_batch` says
    what happens when the archive is cut or wrong. Objects outside a cluster are read one by one,
    and so are those of a catalog entry with an ETL or a digest.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, folders,
            names in a catalog.
        client: The cluster for sources given as URLs; by default one made from `endpoint`.
        prefix_map: For some of these sources, the prefix or prefixes to read; all objects
            otherwise.
        show_progress: Count on stderr, if that is a terminal, what each worker reads.
        max_batch_size: Maximum number of objects in a request.
        output_format: Format of the archive that the cluster sends: .tar, .tgz, .tar.gz or
            .tar.lz4.
        streaming: Have the cluster send the archive while it makes it; see `Client.get_batch`.
        colocation: 1 has the node assemble the archive that holds most of its objects; the official
            package's `Colocation` works too, but for its highest, which AIStore does not implement.
        partition_sources_by_worker: Give each worker whole sources, so that no two workers list the
            same source. Workers beyond the number of sources have nothing to do.
        cont_on_err: Leave out objects that are gone: the official package's word for
            on_missing="skip".
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        missing: The old name of `on_missing`, until the next release.
        concurrency: How many batches each worker has in flight, or bounds for it; by default at
            most 8 at first, then as many as the cluster handles best.
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
        on_missing: For an object that is gone since it was listed: "raise" NotFoundError, the
            default; "none": the item is None, or what `transform` makes of None; "skip": leave it
            out, counted in `stats()`, with a warning in the log at the end.

    Raises:
        ValueError: No source.
        NotFoundError: At iteration: a bucket does not exist, or a source has no object.
        ConfigError: There is no such batch size, length, split, on_missing=, output format or
            colocation, or arguments contradict each other.
        NotSupportedError: colocation is 2.
    """

    def __init__(
        self,
        ais_source_list: Any = (),
        client: Client | None = None,
        prefix_map: PrefixMap | None = None,
        show_progress: bool = False,
        max_batch_size: int = 32,
        output_format: str = ".tar",
        streaming: bool = True,
        colocation: int = 0,
        partition_sources_by_worker: bool = False,
        cont_on_err: bool = False,
        *,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        missing: OnMissing | None = None,
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
        on_missing: OnMissing | None = None,
    ) -> None:
        rule = _rule_for_missing(on_missing, missing, cont_on_err)
        super().__init__(
            ais_source_list,
            prefix_map,
            show_progress=show_progress,
            partition_sources_by_worker=partition_sources_by_worker,
            client=adapt_sdk_object(client),
            endpoint=endpoint,
            direct=direct,
            concurrency=concurrency,
            length=length,
            allow_empty=allow_empty,
            skip_empty=skip_empty,
            include=include,
            exclude=exclude,
            split=split,
            ranks=ranks,
            equalize=equalize,
            transform=transform,
            on_missing=rule,
        )
        if not is_whole(max_batch_size, 1):
            raise ConfigError(f"max_batch_size={max_batch_size}: a batch has at least one object")
        self._batch_options = BatchOptions(streaming, output_format, int(colocation))
        check_options(self._batch_options)
        self._max_batch_size = max_batch_size
        self._missing: Literal["raise", "none"] = "raise" if rule == "raise" else "none"

    @classmethod
    @takes_options_of(__init__)
    def from_prefix(  # type: ignore[override]  # there is no etl_name
        cls, url: Place, **options: Unpack[BatchIterOptions]
    ) -> Self:
        """See `AISMapDataset.from_prefix`; nothing is read yet."""
        return cls(prefix_source(cls.__name__, url, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_objects(  # type: ignore[override]  # as above
        cls, urls: Place | Iterable[Place], **options: Unpack[BatchIterOptions]
    ) -> Self:
        """See `AISMapDataset.from_objects`; nothing is read yet."""
        return cls(objects_source(cls.__name__, urls, options), **options)

    @classmethod
    @takes_options_of(__init__)
    def from_manifest_file(  # type: ignore[override]  # as above
        cls,
        path_or_url: Place,
        parser: ManifestParser,
        base_url: Place,
        **options: Unpack[BatchIterOptions],
    ) -> Self:
        """See `AISMapDataset.from_manifest_file`; nothing is read yet."""
        own = manifest_source(cls.__name__, path_or_url, parser, base_url, options)
        return cls(own, **options)

    @classmethod
    @takes_options_of(__init__)
    def from_url(  # type: ignore[override]  # as above
        cls, url: Any, **options: Unpack[BatchIterOptions]
    ) -> Self:
        """See `AISMapDataset.from_url`; nothing is read yet."""
        return cls(url_source(cls.__name__, url, options), **options)

    @classmethod
    def from_tar(cls, tar_url: Place, index_url: Place, **options: Any) -> NoReturn:
        """Refuse: get-batch saves nothing where neighbours in a tar come by one request.

        Raises:
            NotSupportedError: Always.
        """
        raise NotSupportedError(
            f"<{cls.__name__}> {tar_url}: the files of a tar come by ranges, many in one request:"
            " use AISIterDataset.from_tar"
        )

    def _read_all(self, share: Iterator[ListedObject]) -> Iterator[ReadObject]:
        batches = fetch_in_order(
            self._batches(share),
            self._read_batch,
            limit=AdaptiveLimit(self._concurrency),
            size_of=_batch_bytes,
            result_bytes=lambda batch: sum(len(one.data or b"") for one in batch),
        )
        return chain.from_iterable(batches)

    def _batches(self, share: Iterator[ListedObject]) -> Iterator[list[ListedObject]]:
        """Cut into batches, each from one bucket of one cluster."""
        for _, group in groupby(share, _origin):
            while batch := list(islice(group, self._max_batch_size)):
                yield batch

    def _read_batch(self, batch: list[ListedObject]) -> Sequence[ReadObject]:
        source, info = batch[0]
        store = source.store_of(info)
        if not isinstance(store, AisStore) or source.needs_single_reads:
            return [self._items.read(listed) for listed in batch]
        objects = store.client.get_batch(
            [info for _, info in batch],
            streaming=self._batch_options.streaming,
            missing=self._missing,
            output_format=self._batch_options.mime,
            colocation=self._batch_options.colocation,
            concurrency=1,
        )
        return [ReadObject(listed, data) for listed, (_, data) in zip(batch, objects, strict=True)]


def _rule_for_missing(
    on_missing: OnMissing | None, missing: OnMissing | None, cont_on_err: bool
) -> OnMissing:
    """Return what three arguments say together.

    Raises:
        ConfigError: They contradict each other.
    """
    if missing is not None:
        text = "AISBatchIterDataset(missing=) is now called on_missing="
        warnings.warn(text, DeprecationWarning, stacklevel=3)
    said: set[OnMissing] = {rule for rule in (on_missing, missing) if rule is not None}
    if cont_on_err:
        said.add("skip")
    if len(said) > 1:
        raise ConfigError(
            f"on_missing={on_missing!r}, missing={missing!r} and cont_on_err={cont_on_err!r} say"
            " different things: give one of them"
        )
    return said.pop() if said else "raise"


def _origin(listed: ListedObject) -> tuple[object, str, bool]:
    """Return what the objects of one batch have in common."""
    source, info = listed
    store = source.store_of(info)
    client = store.client if isinstance(store, AisStore) else None
    return client, info.root, source.needs_single_reads


def _batch_bytes(batch: Iterable[ListedObject]) -> int | None:
    """Return the size of a batch; None if the size of an object is not known."""
    sizes = [info.size_bytes for _, info in batch]
    return sum(size for size in sizes if size is not None) if None not in sizes else None
