"""MixedSource: objects whose URLs may lead to different stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from aisio.records import ObjectInfo
from aisio.sources.base import Source, url_of
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["MixedSource", "StoreFinder"]

StoreFinder: TypeAlias = Callable[[ObjectUrl], Store]
"""Returns the store that holds a URL."""


class MixedSource(Source):
    """Objects of any stores; the URL of each tells which store holds it.

    Args:
        find_store: Returns the store that holds a URL; it must pickle.
    """

    def __init__(self, find_store: StoreFinder) -> None:
        self._find_store = find_store
        self._stores: dict[tuple[str, bool], Store] = {}

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self._store_for(url_of(info))

    def _store_for(self, url: ObjectUrl) -> Store:
        kind = url.provider, bool(url.namespace)  # only a cluster has namespaces
        store = self._stores.get(kind)
        return store or self._stores.setdefault(kind, self._find_store(url))
