"""PackCache: what this machine remembers of shards that it has stored, until their run has ended.

    shard-index/packed/DIGEST    one shard, named after its URL and the files in it: a line with
                                 the checksum of the shard, then its index

A run that is repeated after it was interrupted need not read the files of these shards again.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from aisio.atomic_write import atomic_write, remove_abandoned_partials
from aisio.errors import AisioError
from aisio.records import Checksum
from aisio.shards.index import ShardIndex
from aisio.shards.index_cache import IndexCache
from aisio.shards.pack_files import FolderFile
from aisio.shards.plan import PlannedShard

__all__ = ["PackCache"]

_KEPT_S = 30 * 24 * 3600.0


class PackCache:
    """The shards that were stored by runs which have not ended.

    Args:
        folder: The cache folder; by default that of `aisio.config.default_cache_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = IndexCache(folder).folder / "packed"

    def find(self, url: str, shard: PlannedShard) -> tuple[ShardIndex, Checksum] | None:
        """Return index and checksum of a shard that was stored, of files that are unchanged."""
        try:
            head, _, rest = self._path(url, shard).read_bytes().partition(b"\n")
            kind, _, value = head.decode("ascii").partition(":")
            index = ShardIndex.from_buffer(rest, f"index of {url}")
            index.check()
        except (OSError, ValueError, AisioError):  # none, or none that can be used
            return None
        return index, Checksum(kind, value)

    def save(self, url: str, shard: PlannedShard, index: ShardIndex, checksum: Checksum) -> None:
        """Remember a shard; a cache that cannot be written to remembers nothing."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path(url, shard)) as file:
                file.write(f"{checksum.kind}:{checksum.value}\n".encode("ascii"))
                file.write(index.view)

    def forget(self, url: str, shard: PlannedShard) -> None:
        """Forget a shard."""
        with suppress(OSError):
            self._path(url, shard).unlink()

    def remove_abandoned(self) -> None:
        """Remove what belongs to runs that were not repeated for a month, or was never complete."""
        remove_abandoned_partials(self._folder)
        for path in self._folder.glob("*"):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - _KEPT_S:
                    path.unlink()

    def _path(self, url: str, shard: PlannedShard) -> Path:
        hasher = hashlib.sha256(url.encode("utf-8", "surrogatepass"))
        for member in shard.members:
            version = member.version if isinstance(member, FolderFile) else member.data
            text = f"\0{member.name}\0{member.size_bytes}\0{version!r}"
            hasher.update(text.encode("utf-8", "surrogatepass"))
        return self._folder / hasher.hexdigest()[:40]
