"""ShardSender: sends shards to a folder while the next one is collected."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from aisio.errors import ConfigError, ConflictError, NotFoundError
from aisio.shards.index import ShardIndex
from aisio.shards.index_parts import delete_part, write_part
from aisio.shards.open_shard import OpenShard
from aisio.shards.packing import PackedShard
from aisio.shards.shard_folder import ShardFolder
from aisio.urls import ObjectUrl

__all__ = ["ShardSender"]


class ShardSender:
    """Sends complete shards, one at a time, in a thread.

    Attributes:
        folder: Where to.
        stored: The shards that are stored, each with its index.
    """

    def __init__(self, folder: ShardFolder, *, overwrite: bool) -> None:
        self.folder = folder
        self.stored: list[tuple[PackedShard, ShardIndex]] = []
        self._overwrite = overwrite
        self._old = folder.existing()
        self._number = 0
        self._sending: Future[tuple[PackedShard, ShardIndex]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aisio-shard-writer")
        if self._old and not overwrite:
            raise ConflictError(
                f"{folder.url} has {len(self._old):,} shards of an earlier run, the first"
                f" {next(iter(self._old))}; pass overwrite=True, or another prefix",
                url=str(folder.url),
            )
        if folder.rank is None:
            folder.remove_abandoned()
        else:
            delete_part(folder)

    def send(self, shard: OpenShard) -> None:
        """Send a shard, once the one before it is stored; raises the errors of that one.

        The shard is closed when it is stored. If this raises, it is still the caller's.
        """
        self._wait()
        self._sending = self._thread.submit(self._put, shard, self._number)
        self._number += 1

    def _put(self, shard: OpenShard, number: int) -> tuple[PackedShard, ShardIndex]:
        url = self.folder.shard_url(number)
        with closing(shard):
            if not self._overwrite and self._is_there(url):
                raise ConflictError(
                    f"{url}: another process has written it: give each its rank", url=str(url)
                )
            return shard.put(self.folder.store, url)

    def _is_there(self, url: ObjectUrl) -> bool:
        try:
            self.folder.store.head(url)
        except NotFoundError:
            return False
        return True

    def _wait(self) -> None:
        if self._sending is not None:
            # It stays what it is if it has failed, so that every later call fails too.
            self.stored.append(self._sending.result())
            self._sending = None

    def finish(self) -> None:
        """Wait for the last shard; delete the others of an earlier run, and write the index."""
        self._wait()
        if not self.stored and self.folder.rank is None:
            raise ConfigError(f"{self.folder.url}: no sample was written")
        written = {shard.url for shard, _ in self.stored}
        self.folder.delete(info for url, info in self._old.items() if url not in written)
        indexes = [(index, 0) for _, index in self.stored]
        if self.folder.rank is None:
            self.folder.write_index(indexes)
        else:
            write_part(self.folder, indexes)

    def close(self) -> None:
        """End the thread; a shard that is being sent is stored."""
        self._thread.shutdown()
        if self._sending is not None and self._sending.exception() is None:
            self._wait()
