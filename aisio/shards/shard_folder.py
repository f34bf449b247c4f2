"""ShardFolder: the folder that shards are written to, and what is there of earlier runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
        rank = r"(r[0-9]{5,}-)?" if self.rank is None else f"(r{self.rank:05d}-)?"
        shard = re.compile(f"{re.escape(start.name)}{rank}[0-9]{{6,}}\\.tar")
        return {info.url: info for info in self.list(start) if shard.fullmatch(info.name)}

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

        Shards in it that no index knows are left out, so whoever reads all of them is told so.

        Args:
            written: For each shard that was written, an index and its number in it.

        Returns:
            The URL of the index.

        Raises:
            ConflictError: A shard is not in the folder as it was written: another process writes
                shards of the same names.
        """
        place = IndexPlace.beside(self.store, self.url)
        known = {index.shard(number).url: (index, number) for index, number in written}
        own = set(known)
        old = self._old_index(place)
        for number, shard in enumerate(old.shards if old is not None else ()):
            assert old is not None
            known.setdefault(shard.url, (old, number))
        is_shard = ShardNames()
        rows = []
        for info in self.list(self.url):
            found = known.get(info.url) if is_shard(info.name) else None
            if found is not None and is_current(found[0].shard(found[1]), info):
                rows.append(found)
                own.discard(info.url)
        if own:
            raise ConflictError(
                f"{self.url}: {len(own):,} shards are no longer as they were written, the first"
                f" {min(own)}: another process writes shards of these names",
                url=str(self.url),
            )
        index = ShardIndex.of_shards(rows, folder=place.folder)
        if old is None or old.view != index.view:
            self.store.put(place.url, index.to_bytes())
        return str(place.url)

    def _old_index(self, place: IndexPlace) -> ShardIndex | None:
        try:
            data = self.store.read(place.url)
            index = ShardIndex.from_buffer(data, str(place.url), folder=place.folder)
            index.check()
        except (NotFoundError, AccessError, IntegrityError, ConfigError):
            return None  # none, or one that cannot be used: it is replaced
        return index
