"""Which sources of a list have objects in common, as far as their prefixes tell without a listing.

What two of them have is read twice, and nothing else shows it: an epoch has a few samples more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aisio.patterns.selections import Selections
from aisio.sources.base import Source
from aisio.sources.kinds import PrefixSource
from aisio.sources.url import UrlSource
from aisio.stores import Store
from aisio.urls import ObjectUrl

__all__ = ["NamedPart", "find_overlap"]


class NamedPart(NamedTuple):
    """What is read of a source.

    Attributes:
        source: The source.
        selections: What is read of it; no text for all.
    """

    source: Source
    selections: Selections


class _Scope(NamedTuple):
    """Names that begin with a text.

    Attributes:
        url: Bucket and text.
        is_prefix: All such names are meant; otherwise the text may be the name of an object.
    """

    url: ObjectUrl
    is_prefix: bool


def find_overlap(parts: Iterable[NamedPart]) -> tuple[str, str] | None:
    """Return two URLs of which the first one's objects are all among the second one's.

    Patterns, groups, manifests, catalog names with patterns and the like are not compared, as only
    their listings tell.

    Returns:
        The first two that are found, perhaps the same URL; None if there are none.
    """
    by_store: dict[tuple[Store, str], list[_Scope]] = {}
    for part in parts:
        for store, scope in _scopes(part):
            by_store.setdefault((store, scope.url.root), []).append(scope)
    for scopes in by_store.values():
        if (found := _first_nested(scopes)) is not None:
            return found
    return None


def _first_nested(scopes: list[_Scope]) -> tuple[str, str] | None:
    outer: _Scope | None = None
    for scope in sorted(scopes, key=lambda scope: (scope.url.name, not scope.is_prefix)):
        if outer is not None and (
            scope.url.name.startswith(outer.url.name) if outer.is_prefix else scope == outer
        ):
            return str(scope.url), str(outer.url)
        outer = scope
    return None


def _scopes(part: NamedPart) -> Iterator[tuple[Store, _Scope]]:
    own, selections = part.source.unpinned, part.selections
    if isinstance(own, UrlSource) and not selections.text:
        selections = Selections(own.url.name)
    elif not isinstance(own, PrefixSource):
        return
    elif not selections.text:
        yield own.store, _Scope(own.url, True)
        return
    single = selections.single
    if single is not None:
        yield own.store, _Scope(own.url.with_name(single.start), selections.is_prefix)
