"""ShardFolder: the folder that shards are written to, and what is there of earlier runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from aisio.atomic_write import remove_abandoned_partials
from aisio.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    IntegrityError,
    NotFoundError,
)
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_loading import IndexPlace
from aisio.shards.index_pins import is_current
from aisio.shards.names import ShardNames
from aisio.stores import Store
from aisio.urls import FILE, ObjectUrl

__all__ = ["ShardFolder"]

_log = logging.getLogger("aisio.shard_index")


class ShardFolder:
    """A folder of shards in a store.

    Args:
        store: The store.
        url: The folder, with or without a "/" at its end.
        prefix: What the names of the shards begin with.
        rank: The number of this process among several that write shards of this prefix.

    Attributes:
        store: As above.
        url: The folder, with a "/" unless it is a whole bucket.
        prefix: As above.
        rank: As above.
    """

    def __init__(self, store: Store, url: ObjectUrl, prefix: str, rank: int | None = None) -> None:
        self.store = store
        is_folder = not url.name or url.name.endswith("/")
        self.url = url if is_folder else url.with_name(f"{url.name}/")
        self.prefix = prefix
        self.rank = rank
        of_rank = "(r[0-9]{5,}-)?" if rank is None else f"(r{rank:05d}-)?"
        start = re.escape(self.url.join(f"{prefix}-").name)
        self._own = re.compile(rf"{start}{of_rank}[0-9]{{6,}}\.tar")

    def shard_url(self, number: int) -> ObjectUrl:
        """Return the URL of a shard of this process by its number."""
        rank = "" if self.rank is None else f"r{self.rank:05d}-"
        return self.url.join(f"{self.prefix}-{rank}{number:06d}.tar")

    def existing(self) -> dict[str, ObjectInfo]:
        """List the shards of an earlier run, or of this one, by URL.

        Those of other ranks are left out if this process has a rank: they may be of this run.

        Raises:
            NotFoundError: No such bucket. A local folder need not exist.
        """
        start = self.url.join(f"{self.prefix}-")
        return {info.url: info for info in self.list(start) if self._own.fullmatch(info.name)}

    def list(self, url: ObjectUrl) -> Sequence[ObjectInfo]:
        """List what begins with a URL; nothing where there is no such local folder."""
        try:
            return tuple(self.store.list(url))
        except NotFoundError:
            if url.provider == FILE:
                return ()
            raise

    def remove_abandoned(self) -> None:
        """Remove the half-written files of processes that were killed, from a local folder."""
        if self.url.provider == FILE:
            remove_abandoned_partials(f"/{self.url.name}")

    def delete(self, shards: Iterable[ObjectInfo]) -> None:
        """Delete shards of an earlier run."""
        for info in shards:
            self.store.delete(self.url.with_name(info.name), missing_ok=True)

    def write_index(self, written: Sequence[tuple[ShardIndex, int]]) -> str:
        """Write the index of the folder: of the shards written, and of others that had one.

        Shards in it that no index knows are left out, with a warning in the log: whoever reads the
        whole folder reads them too.

        Args:
            written: For each shard that was written, an index and its number in it.

        Returns:
            The URL of the index.

        Raises:
            ConflictError: A shard is not in the folder as it was written, or others of this prefix
                are: another process writes shards of the same names.
        """
        place = IndexPlace.beside(self.store, self.url)
        known = {index.shard(number).url: (index, number) for index, number in written}
        listed = self.list(self.url)
        self._check_written(known, listed)
        old = self._old_index(place)
        for number, shard in enumerate(old.shards if old is not None else ()):
            assert old is not None
            known.setdefault(shard.url, (old, number))
        is_shard = ShardNames()
        rows, others = [], []
        for info in filter(lambda info: is_shard(info.name), listed):
            found = known.get(info.url)
            if found is not None and is_current(found[0].shard(found[1]), info):
                rows.append(found)
            else:
                others.append(info.url)
        if rows and others:
            _log.warning(
                "%s has %s other shards, the first %s, which its index leaves out: a reader of the"
                " whole folder reads them too",
                self.url,
                f"{len(others):,}",
                others[0],
            )
        index = ShardIndex.of_shards(rows, folder=place.folder)
        if old is None or old.view != index.view:
            self.store.put(place.url, index.to_bytes())
        return str(place.url)

    def _check_written(
        self, written: Mapping[str, tuple[ShardIndex, int]], listed: Iterable[ObjectInfo]
    ) -> None:
        stored = {info.url: info for info in listed}
        changed = [
            url
            for url, (index, number) in written.items()
            if url not in stored or not is_current(index.shard(number), stored[url])
        ]
        added = [
            url
            for url, info in stored.items()
            if url not in written and self._own.fullmatch(info.name)
        ]
        if changed or added:
            first = min(changed + added)
            raise ConflictError(
                f"{self.url}: {len(changed):,} shards are no longer as they were written, and"
                f" {len(added):,} were added, the first {first}: another process writes shards of"
                " these names",
                url=str(self.url),
            )

    def _old_index(self, place: IndexPlace) -> ShardIndex | None:
        try:
            data = self.store.read(place.url)
            index = ShardIndex.from_buffer(data, str(place.url), folder=place.folder)
            index.check()
        except (NotFoundError, AccessError, IntegrityError, ConfigError):
            return None  # none, or one that cannot be used: it is replaced
        return index
