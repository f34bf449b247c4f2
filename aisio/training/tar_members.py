"""The regular files of one tar as the objects of a dataset, found by an index without names.

Theory of operation. The index says where the files are, and nothing else. So the listing has their
numbers in place of names, and the sizes of their bytes in the tar; name, size and content of a file
are known when it is read. Neighbours in the tar are read by one request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, cast

from aisio.errors import ConfigError
from aisio.records import ByteRange, ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.member_reader import CONTENT, MemberReader
from aisio.shards.sample_reader import ReadSamples
from aisio.shards.samples import Sample
from aisio.shards.tar_index_loading import StoredFile, load_tar_index
from aisio.sources.base import Source
from aisio.sources.source_set import SourceSet
from aisio.stores import Store
from aisio.stores.lazy import Lazy
from aisio.summary import shown
from aisio.training.data_object import DataObject
from aisio.training.member_order import MemberOrder
from aisio.training.missing_objects import OnMissing
from aisio.training.object_items import ObjectItems, ReadObject, Transform
from aisio.training.split_dataset import ListedObject
from aisio.transport.body import Body
from aisio.transport.concurrency.limit import AdaptiveLimit

__all__ = ["TarMemberItems", "TarMemberSource", "items_of", "order_of"]


class TarMemberSource(Source):
    """The regular files of a tar, in its order; the names in the listing are their numbers.

    The index is read on first use, once in a process; a worker has that of its parent.

    Args:
        tar: The tar.
        index: Its index.
        order: The order in which a split dataset reads the files.

    Attributes:
        order: As given.
    """

    why_empty = "the index of the tar has no file"
    needs_single_reads = True

    def __init__(
        self, tar: StoredFile, index: StoredFile, order: MemberOrder | None = None
    ) -> None:
        self._tar = tar
        self.order = order
        self._index_url = index.url
        self._index: Lazy[ShardIndex] = Lazy(partial(load_tar_index, tar, index))

    def __repr__(self) -> str:
        return f"TarMemberSource({shown(self._tar.url)!r}, {shown(self._index_url)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"tar": self._tar.url, "index": self._index_url}

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; the tar, as if it were a folder."""
        return f"{self._tar.url}/"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`.

        Raises:
            NotFoundError: There is no such tar, or no such index; raised at the first item.
            ShardError: The index is damaged, or not that of the tar.
        """
        root = str(self._tar.url)
        for number, size_bytes in enumerate(self._index().sizes):
            if (name := str(number)).startswith(prefix):
                yield ObjectInfo(root, name, size_bytes)

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`; True for all: the index names them."""
        return True

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self._tar.store

    def completed(self, info: ObjectInfo) -> ObjectInfo:
        """See `Source.completed`; the file is read for it."""
        return self.member_of(info, self._read(info))[0]

    def read(self, info: ObjectInfo, *, etl_name: str | None = None) -> bytes:
        """See `Source.read`; errors as for `SampleReader.read`."""
        if etl_name:
            raise ConfigError(f"{info.url}: a file in a tar cannot be transformed by an ETL")
        return self._read(info).fields[CONTENT]

    def get(
        self,
        info: ObjectInfo,
        *,
        byte_range: ByteRange | None = None,
        etl_name: str | None = None,
    ) -> Body:
        """Refuse: where the content of a file begins is known when it is read.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{info.url}: a file of an indexed tar is read whole")

    def send_ahead(self, info: ObjectInfo, *, etl_name: str | None = None) -> None:
        """See `Source.send_ahead`; `reader` sends requests for several files ahead."""

    def reader(self, owner: str = "", limit: AdaptiveLimit | None = None) -> MemberReader:
        """Return what reads files by their numbers.

        Args:
            owner: Name of the class that reads, for errors.
            limit: How many requests may be in flight.
        """
        return MemberReader(self._index(), self._tar, self._index_url, limit=limit, reader=owner)

    def member_of(self, info: ObjectInfo, sample: Sample) -> tuple[ObjectInfo, bytes]:
        """Return what reading a listed file has told of it, and its content."""
        content = sample.fields[CONTENT]
        return ObjectInfo(info.root, sample.key, len(content), label=info.name), content

    def _read(self, info: ObjectInfo) -> Sample:
        return self.reader().read_one(int(info.name))[0]


class TarMemberItems(ObjectItems):
    """Reads files of one `TarMemberSource`, neighbours by one request; see `ObjectItems`.

    Args:
        source: The only source of the dataset.
        transform: See `ObjectItems`.
        on_missing: Of no meaning: a file of a tar goes only with the tar, which is an error.
        owner: Name of the dataset's class.
        kind: See `ObjectItems`.
    """

    def __init__(
        self,
        source: TarMemberSource,
        transform: Transform | None,
        on_missing: OnMissing,
        owner: str,
        kind: type[DataObject] = DataObject,
    ) -> None:
        super().__init__(None, transform, on_missing, owner, kind)
        self._source = source

    def read_item(self, listed: ListedObject) -> Any:
        """See `ObjectItems.read_item`; the file is read whole."""
        return self.item(self.read(listed))

    def read(self, listed: ListedObject) -> ReadObject:
        """See `ObjectItems.read`."""
        reader = self._source.reader(self._owner)
        return self._read_object(listed, reader.read_one(int(listed[1].name))[0])

    def read_in_order(
        self, share: Iterable[ListedObject], limit: AdaptiveLimit
    ) -> Iterator[ReadObject]:
        """See `ObjectItems.read_in_order`."""
        planned: deque[ListedObject] = deque()

        def numbers() -> Iterator[int]:
            for listed in share:
                planned.append(listed)
                yield int(listed[1].name)

        reader = self._source.reader(self._owner, limit)
        runs = cast("Generator[ReadSamples, None, None]", reader.read_runs(reader.plan(numbers())))
        with closing(runs):
            for run in runs:
                for _, sample in run:
                    yield self._read_object(planned.popleft(), sample)

    def _read_object(self, listed: ListedObject, sample: Sample) -> ReadObject:
        member, content = self._source.member_of(listed[1], sample)
        return ReadObject(listed, content, member)


def items_of(
    sources: SourceSet,
    etl_name: str | None,
    transform: Transform | None,
    on_missing: OnMissing,
    owner: str,
    kind: type[DataObject] = DataObject,
) -> ObjectItems:
    """Return what reads the objects of these sources; arguments as for `ObjectItems`."""
    first = sources.sources[0]
    if isinstance(first, TarMemberSource):
        return TarMemberItems(first, transform, on_missing, owner, kind)
    return ObjectItems(etl_name, transform, on_missing, owner, kind)


def order_of(sources: SourceSet) -> MemberOrder | None:
    """Return the order of a tar's files; None for other sources."""
    first = sources.sources[0]
    return first.order if isinstance(first, TarMemberSource) else None
