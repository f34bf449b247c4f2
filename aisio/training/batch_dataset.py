"""AISBatchIterDataset: objects as samples, many in one request; a thin shell for torch.

Name and arguments are those of the official `aistore.pytorch`; what was added is keyword-only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any, Literal, TypeAlias

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.batch_archive import BatchOptions, check_options
from aisio.client.client import Client
from aisio.errors import ConfigError
from aisio.left_out import LeftOut
from aisio.limits import is_whole
from aisio.records import Concurrency, ObjectInfo
from aisio.sources.base import Source
from aisio.sources.source_set import PrefixMap
from aisio.stores import AisStore, DirectSettings
from aisio.training.object_datasets import AISIterDataset
from aisio.training.split_dataset import Split
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order

__all__ = ["AISBatchIterDataset"]

_log = logging.getLogger(__name__)

_Listed: TypeAlias = "tuple[Source, ObjectInfo]"


class AISBatchIterDataset(AISIterDataset):
    """Objects in listing order as (name, bytes), fetched by get-batch; split as AISIterDataset.

    A get-batch request costs the cluster a tenth of a second, whatever it asks for; so several are
    under way at once. It spares much of the work per object, of the cluster and of the client, and
    gives no checksums: names and listed sizes are compared. See `Client.get_batch` for what is done
    where the archive is cut or wrong. Sources that are in no cluster, and those whose catalog entry
    has an ETL or a digest, are read object by object.

    Args:
        ais_source_list: Sources, or one of them: buckets, object groups, URLs of prefixes, folders,
            names in a catalog.
        client: The cluster for sources given as URLs; without it one made from `endpoint`.
        prefix_map: For some of these sources, the prefix or prefixes to take; all objects
            otherwise.
        show_progress: Count on stderr, if that is a terminal, what each worker reads.
        max_batch_size: Objects a request, at most.
        output_format: Of the archive on its way: .tar, .tgz, .tar.gz or .tar.lz4.
        streaming: Have the archive sent while it is made; see `Client.get_batch`.
        colocation: 1 has the node assemble the archive that holds most of its objects; the official
            package's `Colocation` is understood.
        partition_sources_by_worker: Give each worker whole sources, so that none is listed by two
            of them. Workers beyond the number of sources have nothing to do.
        endpoint: The cluster's URL; without it AIS_ENDPOINT.
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.
        missing: "raise" NotFoundError for an object that is gone since it was listed, or "skip" it,
            with a warning in the log at the end.
        concurrency: How many batches each worker has under way, or the bounds within which to find
            out; without it at most 8 at first, then what the cluster does best with.
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
        ConfigError: A batch size, length, split, missing=, output format or colocation that does
            not exist.
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
        *,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        missing: Literal["raise", "skip"] = "raise",
        concurrency: int | Concurrency | None = None,
        length: int | None = None,
        allow_empty: bool = False,
        split: Split = "rank+worker",
    ) -> None:
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
            split=split,
        )
        if not is_whole(max_batch_size, 1):
            raise ConfigError(f"max_batch_size={max_batch_size}: a batch has at least one object")
        if missing not in ("raise", "skip"):
            raise ConfigError(f'missing={missing!r}: "raise" or "skip" is needed')
        check_options(BatchOptions(streaming, output_format, int(colocation)))
        self._max_batch_size = max_batch_size
        self._output_format = output_format
        self._streaming = streaming
        self._colocation = int(colocation)
        self._missing: Literal["raise", "skip"] = missing

    def _read_all(self, mine: Iterator[_Listed]) -> Iterator[tuple[str, bytes]]:
        batches = fetch_in_order(
            self._batches(mine),
            self._read_batch,
            pace=AdaptiveLimit(self._concurrency),
            size_of=_listed_bytes,
            result_bytes=lambda found: sum(len(data or b"") for _, data in found),
        )
        gone = LeftOut()
        try:
            for name, data in chain.from_iterable(batches):
                if data is None:
                    gone.add(name, "gone since they were listed")
                else:
                    yield name, data
        finally:  # also where an epoch is not read to its end
            if gone:
                _log.warning("<%s> %s", type(self).__name__, gone)

    def _batches(self, mine: Iterator[_Listed]) -> Iterator[list[_Listed]]:
        """Cut into batches, each of one bucket of one cluster."""
        for _, same in groupby(mine, _place):
            while batch := list(islice(same, self._max_batch_size)):
                yield batch

    def _read_batch(self, batch: list[_Listed]) -> Sequence[tuple[str, bytes | None]]:
        one, info = batch[0]
        store = one.store_of(info)
        if not isinstance(store, AisStore) or one.needs_single_reads:
            return [self._read(listed) for listed in batch]
        found = store.client.get_batch(
            [info for _, info in batch],
            streaming=self._streaming,
            missing="none" if self._missing == "skip" else self._missing,
            output_format=self._output_format,
            colocation=self._colocation,
            concurrency=1,
        )
        return [(info.name, data) for info, data in found]


def _place(listed: _Listed) -> tuple[object, str, bool]:
    one, info = listed
    store = one.store_of(info)
    client = store.client if isinstance(store, AisStore) else None
    return client, info.root, one.needs_single_reads


def _listed_bytes(batch: Iterable[_Listed]) -> int | None:
    """Return the size of a batch, if that of each object is known."""
    sizes = [info.size_bytes for _, info in batch]
    return sum(size for size in sizes if size is not None) if None not in sizes else None
