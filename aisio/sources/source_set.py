"""SourceSet: the sources of a dataset, each with its prefixes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, Client, ObjectGroup
from aisio.errors import ConfigError
from aisio.left_out import LeftOut
from aisio.patterns.selections import Selections
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.nothing_found import nothing_found
from aisio.sources.resolve import source
from aisio.stores import DirectSettings

__all__ = ["PrefixMap", "SourceSet"]

_log = logging.getLogger("aisio.sources")

PrefixMap: TypeAlias = "Mapping[Any, str | Sequence[str] | None]"
"""Source -> what to take from it: the name of an object, a prefix or a pattern, or several of them
(see `aisio.patterns.selections`); a source without one gives all."""


class NameFilter(Protocol):
    """Tells by their names which objects of a listing are to be read.

    Attributes:
        why: What is said of the others.
    """

    why: str

    def __call__(self, name: str) -> bool:
        """Tell whether to read an object of this name."""


class SourceSet:
    """Several sources in order, each cut down to its prefixes: what a dataset reads.

    Args:
        sources: One source, or a list of them, in any form that `source` understands.
        prefix_map: What to take from each; the keys are the very values given in `sources`.
        owner: Name of the class on whose behalf errors speak.
        client: The cluster for sources given as URLs or names.
        direct: For URLs of clouds, go round the cluster; see `store_for`.
        wanted: Tells by its name whether an object that a listing met is to be read; objects that
            are named themselves always are. Without it all are.
        allow_empty: Take a source without objects for empty, where it is an error otherwise.

    Raises:
        ValueError: No source at all.
        ConfigError: The prefix map names something that is not among the sources, or has an empty
            list.
        UrlError: Braces or wildcards that cannot be meant.
    """

    def __init__(
        self,
        sources: Any,
        prefix_map: PrefixMap | None = None,
        *,
        owner: str,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
        wanted: NameFilter | None = None,
        allow_empty: bool = False,
    ) -> None:
        given = [sources] if _is_single(sources) else list(sources)
        if not given:
            raise ValueError(f"<{owner}> ais_source_list must be provided")
        prefixes = prefix_map or {}
        known = {item for item in given if _hashable(item)}
        unknown = ", ".join(repr(key) for key in prefixes if key not in known)
        if unknown:
            raise ConfigError(
                f"<{owner}> prefix_map has keys that are not among the sources: {unknown}"
            )
        self._owner = owner
        self._wanted = wanted
        self._allow_empty = allow_empty
        self._told: set[str] = set()
        self._parts = [
            _Part(
                source(item, client=client, direct=direct),
                str(item) if isinstance(item, (str, os.PathLike)) else repr(item),
                _selections(prefixes.get(item) if _hashable(item) else None),
            )
            for item in given
        ]

    def __len__(self) -> int:
        return len(self._parts)

    def list(
        self, only: slice = slice(None), *, quiet: bool = False
    ) -> Iterator[tuple[Source, ObjectInfo]]:
        """List the objects of all sources, or of a slice of them, each with its source; lazily.

        Prefixes are taken in their order: where two overlap, an object comes twice.

        Args:
            only: The sources.
            quiet: Do not log what is left out by its name: another process does.

        Raises:
            NotFoundError: When its turn comes, a source has no object, or none of a prefix, unless
                that is allowed.
        """
        for part in self._parts[only]:
            for selections in part.selections:
                yield from self._found(part, selections, quiet=quiet)

    def _found(
        self, part: _Part, selections: Selections, *, quiet: bool
    ) -> Iterator[tuple[Source, ObjectInfo]]:
        left_out, found = LeftOut(), False
        for info in part.source.select(selections.text, allow_empty=self._allow_empty):
            if (
                self._wanted is None
                or self._wanted(info.name)
                or part.source.is_named(info)
                or selections.names_object(info.name)
            ):
                found = True
                yield part.source, info
            else:
                left_out.add(info.name, self._wanted.why)
        if not (found or self._allow_empty):
            raise nothing_found(part.about, prefix=selections.text, left_out=left_out)
        text = f"<{self._owner}> {part.about}: {left_out}"
        if left_out and not quiet and text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)


@dataclass(frozen=True)
class _Part:
    """A source of a set.

    Attributes:
        source: The source.
        about: As the user named it.
        selections: What to take from it.
    """

    source: Source
    about: str
    selections: tuple[Selections, ...]


def _is_single(sources: Any) -> bool:
    """Tell one source from several: a group is a source, though it can be iterated too."""
    one = isinstance(sources, (Source, Bucket, ObjectGroup, NamedSource, str, bytes, os.PathLike))
    return one or adapt_sdk_object(sources) is not sources or not isinstance(sources, Iterable)


def _selections(value: str | Sequence[str] | None) -> tuple[Selections, ...]:
    texts = [value] if isinstance(value, str) else [""] if value is None else list(value)
    if not texts:
        raise ConfigError("prefix_map has an empty list for a source: None takes all of it")
    return tuple(map(Selections, texts))


def _hashable(item: Any) -> bool:
    try:
        hash(item)
    except TypeError:
        return False
    return True
