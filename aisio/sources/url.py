"""UrlSource: the objects that a URL stands for, which may be an object, a prefix or a pattern."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from aisio.patterns.selections import Selection, Selections
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.kinds import PrefixSource
from aisio.stores import Store
from aisio.summary import shown
from aisio.urls import ObjectUrl, folder_url

__all__ = ["UrlSource", "url_source"]


class UrlSource(Source):
    """The objects that a URL stands for: one, those of a prefix, or those that match a pattern.

    Args:
        store: The store that holds them.
        url: Bucket, and name, prefix or pattern; see `aisio.patterns.selections`.
        allow_empty: Skip expansions of braces for which the bucket has no object.

    Attributes:
        store: As given.
        url: As given.
        selections: What the name stands for.

    Raises:
        UrlError: Braces or wildcards are not valid.
    """

    def __init__(self, store: Store, url: ObjectUrl, *, allow_empty: bool = False) -> None:
        self.store = store
        self.url = url
        self._allow_empty = allow_empty
        self.selections = Selections(url.name)
        self._bucket = PrefixSource(store, url.with_name(""))

    def _key(self) -> Hashable:
        return self.store, self.url, self._allow_empty

    def __repr__(self) -> str:
        return f"UrlSource({shown(self.url)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"url": self.url, "store": self.store}

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; that of the text before the first wildcard or brace."""
        return folder_url(self.url.with_name(self.selections.start))

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`."""
        return self.selections.names_object(info.name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes of objects that braces name are not known.

        Raises:
            NotFoundError: There is no object for one of the expansions of braces; raised when the
                listing comes to it, unless `allow_empty`.
        """
        infos = self._bucket.select(self.url.name, allow_empty=self._allow_empty)
        return (info for info in infos if info.name.startswith(prefix))

    def select(self, text: str = "", *, allow_empty: bool = False) -> Iterator[ObjectInfo]:
        """See `Source.select`; `allow_empty` holds for the URL as well."""
        if allow_empty and not self._allow_empty:
            return UrlSource(self.store, self.url, allow_empty=True).select(text, allow_empty=True)
        return super().select(text, allow_empty=allow_empty)

    def selected(self, selection: Selection) -> Iterator[ObjectInfo]:
        """See `Source.selected`."""
        own = self.selections.single
        if own is not None and selection.start.startswith(own.start):
            # If the URL is no object, it is a prefix, and only the selection need be listed.
            prefix = PrefixSource(self.store, self.url.with_name(own.start))
            if not prefix.object_named(own.start):
                yield from prefix.selected(selection)
                return
        yield from super().selected(selection)

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


def url_source(store: Store, url: ObjectUrl) -> Source:
    """Return the source of a URL: a PrefixSource for a folder or bucket, else a UrlSource.

    Raises:
        UrlError: Braces or wildcards are not valid.
    """
    selections = Selections(url.name)
    if selections.is_prefix:
        return PrefixSource(store, url.with_name(selections.start))
    return UrlSource(store, url)
