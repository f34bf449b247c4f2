"""AISMapDataset, AISIterDataset: objects as samples, thin shells for torch over the rooms above.

Names and arguments are those of the official `aistore.pytorch`; what was added is keyword-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aisio.client import Client
from aisio.extras import missing_extra
from aisio.placing import Splitting, client_for
from aisio.progress import with_progress
from aisio.records import ObjectInfo
from aisio.sources import PrefixMap, Source, SourceSet
from aisio.split import Place
from aisio.stores import DirectSettings

try:
    from torch.utils.data import Dataset, IterableDataset
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["AISIterDataset", "AISMapDataset"]


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
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.

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
        direct: bool | DirectSettings = False,
    ) -> None:
        sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=type(self).__name__,
            client=client_for(client, endpoint),
            direct=direct,
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


class AISIterDataset(Splitting, IterableDataset[tuple[str, bytes]]):
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
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.

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
        direct: bool | DirectSettings = False,
    ) -> None:
        super().__init__()
        self._sources = SourceSet(
            ais_source_list,
            prefix_map,
            owner=type(self).__name__,
            client=client_for(client, endpoint),
            direct=direct,
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
