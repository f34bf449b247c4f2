"""LinkedFiles: what the hard links of a shard stand for.

GNU tar and bsdtar write a hard link where they meet a file for the second time, as where labels are
links to one file. Its data is before it in the archive, perhaps far before. Shards with such links
are rare. So nothing is remembered for them while a shard is read: at the first link the headers of
the shard are read, and then each file that a link stands for, by a range.

A compressed shard has no ranges. Of such a shard the last small files are remembered, as labels
are.
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

__all__ = ["LinkedFiles", "LinksByShard", "RecentFiles"]

_MAX_KEPT_BYTES = 16 << 20
"""So many bytes of files are kept: one label may have thousands of links."""

_MAX_RECENT_BYTES = 8 << 20
_MAX_RECENT_FILE_BYTES = 64 << 10
_RECENT_NAME_BYTES = 200
"""What a file takes that is remembered, beside its content."""

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
        # What is wrong with other members is up to their readers.
        self._tar = TarStore(store, url, strict=False)
        self._info = info
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0

    def read(self, link: TarMember) -> bytes:
        """Return the content of the file that a hard link stands for.

        Raises:
            ShardError: No such file is before the link, its name or that of the link comes twice,
                or the headers are not valid.
            IntegrityError: The shard was replaced.
            StorageError: It cannot be read.
        """
        target = without_dot_slash(link.link_name)
        if (content := self._kept.get(target)) is not None:
            return content
        self._check_version()
        url = self._tar.url
        content = self._tar.read(url.with_name(f"{url.name}/{without_dot_slash(link.name)}"))
        if self._kept_bytes + len(content) > _MAX_KEPT_BYTES:
            self._kept, self._kept_bytes = {}, 0
        if len(content) <= _MAX_KEPT_BYTES:
            self._kept[target] = content
            self._kept_bytes += len(content)
        return content

    def _check_version(self) -> None:
        if not may_be_same_object(self._info, self._tar.archive_info):
            raise ShardError(f"{self._tar.url}: the shard was replaced while it was read")


class RecentFiles:
    """The last small files of a compressed shard: each has up to 64 KiB, and all have 8 MiB."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self._size_bytes = 0

    def remember(self, name: str, content: bytes) -> None:
        """Keep a file, unless it is large; the oldest ones go."""
        if len(content) > _MAX_RECENT_FILE_BYTES:
            return
        name = without_dot_slash(name)
        self._forget(name)
        self._contents[name] = content
        self._size_bytes += len(content) + _RECENT_NAME_BYTES
        while self._size_bytes > _MAX_RECENT_BYTES:
            self._forget(next(iter(self._contents)))

    def find(self, link: TarMember) -> bytes | None:
        """Return the content of the file that a hard link stands for; None if it is not kept."""
        return self._contents.get(without_dot_slash(link.link_name))

    def _forget(self, name: str) -> None:
        content = self._contents.pop(name, None)
        if content is not None:
            self._size_bytes -= len(content) + _RECENT_NAME_BYTES


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
