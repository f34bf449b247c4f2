"""UrlSource: what a URL stands for, be it an object, a prefix or a pattern."""

from __future__ import annotations

from collections.abc import Iterator

from aisio.records import ObjectInfo
from aisio.selections import Selections
from aisio.source_kinds import PrefixSource, Source, folder_url
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["UrlSource", "url_source"]


class UrlSource(Source):
    """What a URL stands for: an object, those of a prefix, or those that a pattern names.

    Args:
        store: Where they are.
        url: Bucket, and name, prefix or pattern; see `aisio.selections`.

    Raises:
        UrlError: Braces or wildcards that cannot be meant.
    """

    def __init__(self, store: Store, url: ObjectUrl) -> None:
        self.store = store
        self.url = url
        self._selections = Selections(url.name)
        self._bucket = PrefixSource(store, url.with_name(""))

    def __repr__(self) -> str:
        return f"UrlSource({str(self.url)!r})"

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; the folder that the fixed beginning of a pattern names."""
        return folder_url(self.url.with_name(self._selections.start))

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`."""
        return self._selections.names_object(info.name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes of objects that braces name are not known."""
        infos = self._bucket.select(self.url.name)
        return (info for info in infos if info.name.startswith(prefix))

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


def url_source(store: Store, url: ObjectUrl) -> Source:
    """Return the source that a URL stands for.

    Raises:
        UrlError: Braces or wildcards that cannot be meant.
    """
    selections = Selections(url.name)
    if selections.is_prefix:
        return PrefixSource(store, url.with_name(selections.start))
    return UrlSource(store, url)
