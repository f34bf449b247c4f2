"""The members of one tar as objects: ais://data/a.tar/train/1.jpg is a file in ais://data/a.tar.

The archive may be in any store, and is not compressed. Its headers are read on first use, once in a
process (`aisio.stores.tar_index`); a member is then one ranged read. Each read checks the member's
length, and that the archive is still the one whose headers were read. Stores have no checksum of a
part of an object.

Source:
    AIStore's notation for files in archives.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.stores import Store
from aisio.stores.tar import TarStore
from aisio.summary import shown
from aisio.urls import ObjectUrl

__all__ = ["TarSource"]


class TarSource(Source):
    """The regular files of one tar, in the order of the archive.

    Args:
        store: The store that holds the archive.
        url: The archive.
    """

    def __init__(self, store: Store, url: ObjectUrl) -> None:
        self.store = TarStore(store, url)

    def _key(self) -> Hashable:
        return self.store

    def __repr__(self) -> str:
        return f"TarSource({shown(self.store.url)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"tar": self.store.url, "store": self.store.store}

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; the archive, as if it were a folder."""
        return f"{self.store.url}/"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; names begin with the archive's own name.

        Raises:
            ShardError: The archive is cut, damaged or not a tar; raised at the first item.
        """
        return (info for info in self.store.in_order() if info.name.startswith(prefix))

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store
