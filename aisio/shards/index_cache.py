"""IndexCache: the folder in which indexes of shards are kept on this machine.

    shard-index/fragments/DIGEST.aisio-index    the index of one shard, named after its URL
    shard-index/merged/DIGEST.aisio-index       that of a listing, named after the URLs in it
    shard-index/copies/DIGEST.aisio-index       the copy of an index object, named after its URL,
                                                size and pin
    shard-index/locks/DIGEST.lock               held by the process that builds the index of a
                                                listing

A file is replaced as a whole, so any number of processes may read and write them; what is mapped
stays as it was. A fragment says of which version of its shard it is, so one that is stale is
replaced by the next. Files that are damaged are made again, with a warning in the log.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from aisio.atomic_write import PARTIAL_SUFFIX, atomic_write
from aisio.config import absolute_folder, default_cache_folder
from aisio.errors import ConfigError, IntegrityError
from aisio.file_locks import acquire, release
from aisio.formats.index_file import INDEX_SUFFIX
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_pins import is_current, pin_of

__all__ = ["IndexCache"]

_log = logging.getLogger("aisio.shard_index")

_ABANDONED_S = 24 * 3600.0


class IndexCache:
    """The shard indexes in a cache folder; pickles by its path.

    Args:
        folder: The cache folder; by default that of `aisio.config.default_cache_folder`. It is
            created with the first file.

    Attributes:
        folder: The folder of the indexes in it.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        root = default_cache_folder() if folder is None else absolute_folder(folder)
        self.folder = root / "shard-index"

    def __repr__(self) -> str:
        return f"IndexCache({str(self.folder.parent)!r})"

    def fragment(self, info: ObjectInfo) -> ShardIndex | None:
        """Return the index of a shard; None if there is none of this version of the shard."""
        path = self._path("fragments", info.url)
        index = self._load(path, _read_whole)
        return index if index is not None and covers(index, [info]) else None

    def has_fragment(self, url: str) -> bool:
        """Tell whether there is an index of a shard, of whatever version."""
        return self._path("fragments", url).exists()

    def save_fragment(self, index: ShardIndex) -> None:
        """Keep the index of one shard.

        Raises:
            OSError: It cannot be written.
        """
        self._save(self._path("fragments", index.shard(0).url), index.view)

    def merged(self, listed: Sequence[ObjectInfo]) -> ShardIndex | None:
        """Return the index of a listing; None if there is none of exactly these shards."""
        index = self._load(self._path("merged", *(info.url for info in listed)))
        return index if index is not None and covers(index, listed) else None

    def save_merged(self, index: ShardIndex) -> ShardIndex:
        """Keep the index of a listing; return it mapped. Errors as for `save_fragment`."""
        path = self._path("merged", *(shard.url for shard in index.shards))
        self._save(path, index.view)
        return ShardIndex.from_file(path)

    @contextmanager
    def building(
        self, listed: Iterable[ObjectInfo], on_wait: Callable[[], object]
    ) -> Iterator[None]:
        """Let one process at a time build the index of a listing; the others wait for it.

        Where the cache can have no locks, all of them build it.

        Args:
            listed: The shards.
            on_wait: Called once, if another process has built for a second.
        """
        path = self._path("locks", *(info.url for info in listed)).with_suffix(".lock")
        lock: int | None = None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = acquire(path, on_wait=on_wait)
        try:
            yield
        finally:
            if lock is not None:
                release(lock)

    def copy(self, info: ObjectInfo, *, folder: str | None = None) -> ShardIndex | None:
        """Return the copy of an index object; None if there is none, or no pin to know it by.

        Args:
            info: The index object.
            folder: See `ShardIndex`.
        """
        path = self._copy_path(info)
        load = partial(ShardIndex.from_file, folder=folder)
        index = self._load(path, load) if pin_of(info) else None
        if index is not None:
            with suppress(OSError):  # the folder may be another user's
                path.touch()
        return index

    def save_copy(self, info: ObjectInfo, data: bytes, *, folder: str | None = None) -> ShardIndex:
        """Keep the content of an index object; return it mapped.

        Args:
            info: The index object.
            data: Its content.
            folder: See `ShardIndex`.

        Raises:
            OSError: It cannot be written.
        """
        path = self._copy_path(info)
        self._save(path, memoryview(data))
        return ShardIndex.from_file(path, folder=folder)

    def remove_abandoned(self) -> None:
        """Remove copies that were not used for a day, and what killed processes have left."""
        cutoff = time.time() - _ABANDONED_S
        for path in [*self.folder.glob("copies/*"), *self.folder.glob(f"*/.*{PARTIAL_SUFFIX}")]:
            with suppress(OSError):
                if path.stat().st_mtime < cutoff:
                    path.unlink()

    def _copy_path(self, info: ObjectInfo) -> Path:
        return self._path("copies", info.url, str(info.size_bytes), pin_of(info))

    def _path(self, kind: str, *parts: str) -> Path:
        hasher = hashlib.sha256()
        for part in parts:
            hasher.update(part.encode("utf-8", "surrogatepass") + b"\0")
        return self.folder / kind / f"{hasher.hexdigest()[:40]}{INDEX_SUFFIX}"

    def _load(
        self, path: Path, load: Callable[[Path], ShardIndex] = ShardIndex.from_file
    ) -> ShardIndex | None:
        try:
            index = load(path)
        except FileNotFoundError:
            return None
        except (IntegrityError, ConfigError, OSError) as error:
            _log.warning("%s", error)
            return None
        return index

    def _save(self, path: Path, content: memoryview) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)


def _read_whole(path: Path) -> ShardIndex:
    # Not mapped: a process may have fewer maps than a data set has shards.
    index = ShardIndex.from_buffer(path.read_bytes(), str(path))
    index.check()
    return index


def covers(index: ShardIndex, listed: Iterable[ObjectInfo]) -> bool:
    """Tell whether an index is of exactly these shards, in their order and versions."""
    infos = list(listed)
    return len(index.shards) == len(infos) and all(
        shard.url == info.url and is_current(shard, info)
        for shard, info in zip(index.shards, infos, strict=True)
    )
