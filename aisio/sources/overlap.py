"""Which sources of a list have objects in common, as far as their prefixes tell without a listing.

What two of them have is read twice, and nothing else shows it: an epoch has a few samples more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aisio.patterns.selections import Selections
from aisio.sources.base import Source
from aisio.sources.kinds import PrefixSource
from aisio.sources.url import UrlSource
from aisio.stores import Store

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
        text: The text.
        is_no_prefix: It may be the name of an object; otherwise all such names are meant.
    """

    text: str
    is_no_prefix: bool


def find_overlap(parts: Iterable[NamedPart]) -> tuple[str, str] | None:
    """Return two URLs of which the first one's objects are all among the second one's.

    Patterns, groups, manifests, catalog names with patterns and the like are not compared, as only
    their listings tell.

    Returns:
        The first two that are found, perhaps the same URL; None if there are none.
    """
    by_place: dict[tuple[Store, str], list[_Scope]] = {}
    for part in parts:
        own, selections = part.source.unpinned, part.selections
        if isinstance(own, UrlSource) and not selections.text:
            scope = _scope(own.selections)
        elif isinstance(own, PrefixSource):
            scope = _scope(selections) if selections.text else _Scope(own.url.name, False)
        else:
            continue
        if scope is not None:
            by_place.setdefault((own.store, own.url.root), []).append(scope)
    for (_, root), scopes in by_place.items():
        if (found := _first_nested(scopes)) is not None:
            inner, outer = (f"{root}/{scope.text}" if scope.text else root for scope in found)
            return inner, outer
    return None


def _scope(selections: Selections) -> _Scope | None:
    single = selections.single
    return None if single is None else _Scope(single.start, not selections.is_prefix)


def _first_nested(scopes: list[_Scope]) -> tuple[_Scope, _Scope] | None:
    """Return a scope and one that it lies within; None if there are none."""
    outer: _Scope | None = None
    for scope in sorted(scopes):  # what lies within a prefix comes next behind it
        if outer is not None and (
            scope == outer if outer.is_no_prefix else scope.text.startswith(outer.text)
        ):
            return scope, outer
        outer = scope
    return None
