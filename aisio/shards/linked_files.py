"""LinkedFiles: what the hard links of a shard stand for.

GNU tar and bsdtar write a hard link where they meet a file for the second time, as where labels are
links to one file. Its data is before it in the archive, perhaps far before. Shards with such links
are rare. So nothing is remembered for them while a shard is read: at the first link the headers of
the shard are read, and then each file that a link stands for, by a range.
"""

from __future__ import annotations

from collections.abc import Sequence

from aisio.errors import ShardError
from aisio.formats.tar import TarMember
from aisio.records import ObjectInfo, may_be_same_object
from aisio.shards.index import ShardIndex
from aisio.shards.index_pins import pinned_checksum
from aisio.stores import Store
from aisio.stores.tar import TarStore
from aisio.stores.tar_index import without_dot_slash
from aisio.urls import ObjectUrl

__all__ = ["LinkedFiles", "LinksByShard"]

_MAX_KEPT_BYTES = 16 << 20
"""So many bytes of files are kept: one label may have thousands of links."""

_MAX_SHARDS = 16
"""Of so many shards the headers are kept, where samples are read in any order."""


class LinkedFiles:
    """Reads the files that hard links of a shard stand for; it pickles.

    Args:
        store: The store that has the shard.
        url: The shard, which is not compressed.
        info: What the listing says of it; the headers must be of the same version.
    """

    def __init__(self, store: Store, url: ObjectUrl, info: ObjectInfo) -> None:
        self._tar = TarStore(store, url)
        self._info = info
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0

    def read(self, link: TarMember) -> bytes:
        """Return the content of the file that a hard link stands for.

        Raises:
            ShardError: No such file is before the link, or the headers are not valid.
            IntegrityError: The shard was replaced.
            StorageError: It cannot be read.
        """
        name = without_dot_slash(link.link_name)
        if (content := self._kept.get(name)) is not None:
            return content
        self._check_version()
        url = self._tar.url
        content = self._tar.read(url.with_name(f"{url.name}/{name}"))
        if self._kept_bytes + len(content) > _MAX_KEPT_BYTES:
            self._kept, self._kept_bytes = {}, 0
        if len(content) <= _MAX_KEPT_BYTES:
            self._kept[name] = content
            self._kept_bytes += len(content)
        return content

    def _check_version(self) -> None:
        if not may_be_same_object(self._info, self._tar.archive_info):
            raise ShardError(f"{self._tar.url}: the shard was replaced while it was read")


class LinksByShard:
    """The `LinkedFiles` of the shards of an index.

    Args:
        index: The index.
        places: Where each of its shards is.
    """

    def __init__(self, index: ShardIndex, places: Sequence[tuple[Store, ObjectUrl]]) -> None:
        self._index = index
        self._places = places
        self._made: dict[int, LinkedFiles] = {}

    def of(self, number: int) -> LinkedFiles:
        """Return those of a shard, by its number in the index."""
        links = self._made.pop(number, None)
        if links is None:
            shard, (store, url) = self._index.shard(number), self._places[number]
            checksum = pinned_checksum(shard)
            info = ObjectInfo(url.root, url.name, shard.size_bytes, checksum=checksum)
            links = LinkedFiles(store, url, info)
        self._made[number] = links  # the last one: the first is the least recently used
        while len(self._made) > _MAX_SHARDS:
            self._made.pop(next(iter(self._made)), None)
        return links
