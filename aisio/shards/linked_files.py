"""LinkedFiles: what the hard links of a shard stand for.

GNU tar and bsdtar write a hard link where they meet a file for the second time, as where labels are
links to one file. Its data is before it in the archive, perhaps far before. Shards with such links
are rare. So nothing is remembered for them while a shard is read: at the first link the headers of
the shard are read, and then each file that a link stands for, by a range.

A compressed shard has no ranges. Of such a shard the last small files are remembered, as labels
are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from aisio.errors import IntegrityError
from aisio.formats.tar import TarMember
from aisio.records import ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_pins import is_indexed
from aisio.stores import Store
from aisio.stores.tar import TarStore
from aisio.stores.tar_index import without_dot_slash
from aisio.transport.body import Body
from aisio.urls import ObjectUrl

__all__ = ["LinkedFiles", "Links", "LinksByShard", "RecentFiles"]

_MAX_KEPT_BYTES = 16 << 20
"""So many bytes of files are kept: one label may have thousands of links."""

_MAX_RECENT_BYTES = 8 << 20
_MAX_RECENT_FILE_BYTES = 64 << 10
_RECENT_NAME_BYTES = 200
"""What a file takes that is remembered, beside its content."""

_MAX_SHARDS = 16
"""Of so many shards the headers are kept, where samples are read in any order."""


class Links(Protocol):
    """Reads the files that hard links of a shard stand for."""

    def read(self, link: TarMember, /) -> bytes:
        """Return the content of such a file; errors as for `LinkedFiles.read`."""


class LinkedFiles:
    """Reads the files that hard links of a shard stand for; it pickles.

    Args:
        store: The store that has the shard.
        url: The shard, which is not compressed.
        is_same: Tells of what the store says of the shard whether it is the version that is read;
            by default that of the body that `opened` is given.
    """

    def __init__(
        self,
        store: Store,
        url: ObjectUrl,
        is_same: Callable[[ObjectInfo], bool] | None = None,
    ) -> None:
        # What is wrong with other members is up to their readers.
        self._tar = TarStore(store, url, strict=False)
        self._is_same = is_same
        self._kept: dict[int, bytes] = {}  # by where the file is: its name may come again
        self._kept_bytes = 0

    def opened(self, body: Body) -> Body:
        """Return an open shard, whose version the files must have."""
        self._is_same = partial(self._tar.store.is_same, self._tar.url, now=body.info)
        return body

    def read(self, link: TarMember) -> bytes:
        """Return the content of the file that a hard link stands for.

        Raises:
            ShardError: No such file is before the link, its name or that of the link comes twice,
                or the headers are not valid.
            IntegrityError: The shard was replaced.
            StorageError: It cannot be read.
        """
        self._check_version()
        url = self._tar.url.with_name(f"{self._tar.url.name}/{without_dot_slash(link.name)}")
        offset = self._tar.offset_of(url)
        if (content := self._kept.get(offset)) is not None:
            return content
        content = self._tar.read(url)
        if self._kept_bytes + len(content) > _MAX_KEPT_BYTES:
            self._kept, self._kept_bytes = {}, 0
        if len(content) <= _MAX_KEPT_BYTES:
            self._kept[offset] = content
            self._kept_bytes += len(content)
        return content

    def _check_version(self) -> None:
        assert self._is_same is not None, "links are read in shards that were opened"
        if not self._is_same(self._tar.archive_info):
            url = str(self._tar.url)
            raise IntegrityError(f"{url}: the shard was replaced while it was read", url=url)


class RecentFiles:
    """The last small files of a compressed shard: each has up to 64 KiB, and all have 8 MiB."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self._size_bytes = 0

    def remember(self, name: str, content: bytes) -> None:
        """Keep a file, unless it is large; the oldest ones go."""
        if len(content) > _MAX_RECENT_FILE_BYTES:
            return
        self.forget(name)
        self._contents[without_dot_slash(name)] = content
        self._size_bytes += len(content) + _RECENT_NAME_BYTES
        while self._size_bytes > _MAX_RECENT_BYTES:
            self.forget(next(iter(self._contents)))

    def find(self, link: TarMember) -> bytes | None:
        """Return the content of the file that a hard link stands for; None if it is not kept."""
        return self._contents.get(without_dot_slash(link.link_name))

    def forget(self, name: str) -> None:
        """Drop a file whose name comes again: a link behind it stands for the second one."""
        content = self._contents.pop(without_dot_slash(name), None)
        if content is not None:
            self._size_bytes -= len(content) + _RECENT_NAME_BYTES


class LinksByShard:
    """The `LinkedFiles` of the shards of an index.

    Args:
        index: The index.
        places: Where each of its shards is.
    """

    def __init__(self, index: ShardIndex, places: Sequence[tuple[Store, ObjectUrl]]) -> None:
        # Threads may share it.
        self._find = lru_cache(_MAX_SHARDS)(partial(_links_of, index, places))

    def of(self, number: int) -> Links:
        """Return what reads those of a shard, by its number in the index."""
        return _LinksOfShard(self._find, number)


class _LinksOfShard(NamedTuple):
    """Makes the `LinkedFiles` of a shard at its first link: most shards have none."""

    find: Callable[[int], LinkedFiles]
    number: int

    def read(self, link: TarMember, /) -> bytes:
        return self.find(self.number).read(link)


def _links_of(
    index: ShardIndex, places: Sequence[tuple[Store, ObjectUrl]], number: int
) -> LinkedFiles:
    shard, (store, url) = index.shard(number), places[number]
    return LinkedFiles(store, url, partial(is_indexed, shard, store, url))
