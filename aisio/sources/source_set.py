"""SourceSet: the sources of a dataset, and what it reads of each."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, Client, ObjectGroup
from aisio.errors import ConfigError
from aisio.escapes import first_few
from aisio.patterns.name_patterns import NamePatterns, Patterns, UnmatchedPatterns
from aisio.patterns.selections import Selections
from aisio.records import ObjectInfo
from aisio.skipped import SkippedNames
from aisio.sources.base import Source
from aisio.sources.filtered import FilteredSource
from aisio.sources.identity import source_identity
from aisio.sources.kinds import PrefixSource
from aisio.sources.manifest import ManifestSource
from aisio.sources.nothing_found import nothing_found
from aisio.sources.overlap import NamedPart, find_overlap
from aisio.sources.resolve import source
from aisio.sources.url import UrlSource
from aisio.stores import DirectSettings, Store
from aisio.summary import shown
from aisio.urls import ObjectUrl

__all__ = ["PrefixMap", "SourceSet"]

_log = logging.getLogger("aisio.sources")

_MAX_ABOUT = 200

PrefixMap: TypeAlias = "Mapping[Any, str | Sequence[str] | None]"
"""Source -> what to read of it: the name of an object, a prefix or a pattern, or several of them
(see `aisio.patterns.selections`). A source that is not in the map is read as a whole."""


class NameFilter(Protocol):
    """Tells by its name whether to read an object of a listing.

    Attributes:
        why: Why the others are skipped, for the log.
    """

    why: str

    def __call__(self, name: str) -> bool:
        """Tell whether to read an object of this name."""

    def kind_of(self, name: str) -> str:
        """Return the kind of an object that is skipped, for the log; "" if it has no name."""

    def is_sidecar(self, name: str) -> bool:
        """Tell whether an object belongs to the others, so that the log need not name it."""


class SourceSet:
    """Several sources in order, each narrowed by the prefix map: the objects that a dataset reads.

    More than 8 arguments: each is one of a dataset's.

    Args:
        sources: One source, or a list of them, in any form that `source` understands.
        prefix_map: What to read of each; its keys are values that `sources` has.
        owner: Name of the dataset's class, for errors and the log.
        client: The cluster for URLs and names.
        direct: Read URLs of clouds directly, not through the cluster; see `store_for`.
        name_filter: Tells which objects of a listing to read; objects that a source or the prefix
            map names are always read. Without it all are.
        allow_empty: Read nothing from a source without objects; otherwise that is an error.
        skip_empty: Leave out objects of no bytes, unless a source or the prefix map names them.
        include: Read only objects that match one of these; see `aisio.patterns.name_patterns`.
        exclude: Leave out objects that match one of these. Both hold for named objects too.
        may_overlap: Say nothing of sources that have objects in common, which come twice.

    Raises:
        ValueError: There is no source.
        ConfigError: The prefix map has a key that is not among the sources, or an empty list.
        UrlError: Braces or wildcards are not valid.
    """

    def __init__(
        self,
        sources: Any,
        prefix_map: PrefixMap | None = None,
        *,
        owner: str,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
        name_filter: NameFilter | None = None,
        allow_empty: bool = False,
        skip_empty: bool = False,
        include: Patterns = None,
        exclude: Patterns = None,
        may_overlap: bool = False,
    ) -> None:
        items = [sources] if _is_single(sources) else list(sources)
        if not items:
            raise ValueError(f"<{owner}> ais_source_list must be provided")
        prefixes = prefix_map or {}
        known = {item for item in items if _is_hashable(item)}
        unknown = ", ".join(repr(key) for key in prefixes if key not in known)
        if unknown:
            raise ConfigError(
                f"<{owner}> prefix_map has keys that are not among the sources: {unknown}"
            )
        self._owner = owner
        self._name_filter = name_filter
        self._allow_empty = allow_empty
        self._skip_empty = skip_empty
        self._patterns = NamePatterns(include, exclude, owner=owner)
        self._unmatched = UnmatchedPatterns(self._patterns)
        self._listed: set[int] = set()  # numbers of sources
        self._logged: set[str] = set()
        self._parts = [
            _Part(
                source(item, client=client, direct=direct),
                _about(item),
                _selections(prefixes.get(item) if _is_hashable(item) else None),
            )
            for item in items
        ]
        if not may_overlap:
            self._warn_of_overlap()

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def has_etl(self) -> bool:
        """Whether a source has its objects transformed by an ETL of its own."""
        return any(part.source.etl_name for part in self._parts)

    def place(self) -> tuple[Store, ObjectUrl] | None:
        """Return the store and URL that all of it stands at; None for several, or for a pattern.

        What `include=` and `exclude=` leave out stands there too.
        """
        if len(self._parts) != 1 or len(self._parts[0].selections) != 1:
            return None
        own, selections = self._parts[0].source.unpinned, self._parts[0].selections[0]
        if isinstance(own, FilteredSource):
            own = own.inner
        if isinstance(own, PrefixSource) and not selections.text:
            return own.store, own.url
        if isinstance(own, UrlSource) and not selections.text:
            selections = Selections(own.url.name)
        elif not isinstance(own, PrefixSource):
            return None
        single = selections.single
        return (own.store, own.url.with_name(single.start)) if single is not None else None

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources, in order."""
        return tuple(part.source for part in self._parts)

    @property
    def summary(self) -> str:
        """What is read, as the user named it: the first few sources, each with its prefixes."""
        return first_few([part.summary for part in self._parts])

    @property
    def name(self) -> str:
        """What is listed, shortly: not all that tells one set from another."""
        return "\n".join([self._owner, *(part.about[:_MAX_ABOUT] for part in self._parts)])

    @property
    def patterns(self) -> str:
        """Tells the patterns for names from others; "" if there are none."""
        own = [
            part.source.patterns for part in self._parts if isinstance(part.source, FilteredSource)
        ]
        return "; ".join(patterns.text for patterns in (self._patterns, *own) if patterns)

    def identity(self) -> str | None:
        """Return a text that two processes have in common only if they list the same objects.

        Returns:
            None if that is not known; see `source_identity`.
        """
        texts = [self._owner, str(self._allow_empty), getattr(self._name_filter, "why", "")]
        texts += ["skip_empty"] * self._skip_empty
        texts += [self._patterns.text] * bool(self._patterns)
        for part in self._parts:
            source_text = source_identity(part.source)
            if source_text is None:
                return None
            texts += [source_text, *(selections.text for selections in part.selections)]
        return hashlib.sha256(repr(texts).encode("ascii", "backslashreplace")).hexdigest()

    def list(self, only: slice = slice(None)) -> Iterator[tuple[Source, ObjectInfo]]:
        """List the objects of all sources, or of a slice of them, each with its source; lazily.

        The prefixes of a source come in their order: an object of two prefixes comes twice.

        Args:
            only: Which sources.

        Raises:
            NotFoundError: A source, or a prefix, has no object; raised when the listing comes to
                it, unless `allow_empty`.
        """
        for number, part in list(enumerate(self._parts))[only]:
            for selections in part.selections:
                yield from self._list_part(part, selections)
            self._listed.add(number)
        self._warn_of_unmatched()

    def _list_part(
        self, part: _Part, selections: Selections
    ) -> Iterator[tuple[Source, ObjectInfo]]:
        skipped, sidecars, left_out = SkippedNames(), SkippedNames(), SkippedNames()
        is_empty = True
        infos = part.source.select(selections.text, allow_empty=self._allow_empty)
        if self._patterns:
            base_url = part.source.base_url
            infos = self._patterns.select(infos, base_url, left_out, self._unmatched)
        for info in infos:
            why = self._why_skipped(info)
            if not why or part.source.is_named(info) or selections.names_object(info.name):
                is_empty = False
                yield part.source, info
            elif self._name_filter is not None and self._name_filter.is_sidecar(info.name):
                sidecars.add(info.name, why)
            else:
                kind = self._name_filter.kind_of(info.name) if self._name_filter else ""
                skipped.add(info.name, why, kind)
        if is_empty and not self._allow_empty:
            skipped = skipped or sidecars
            skipped.update(left_out)
            raise nothing_found(
                part.about, prefix=selections.text, skipped=skipped, why=part.source.why_empty
            )
        # What the user left out is no surprise.
        self._log_skipped(logging.WARNING, part, skipped)
        self._log_skipped(logging.INFO, part, left_out)

    def _warn_of_overlap(self) -> None:
        parts = [
            NamedPart(part.source, selections)
            for part in self._parts
            for selections in part.selections
        ]
        if len(parts) > 1 and (found := find_overlap(parts)) is not None:
            inner, outer = found
            how = "is there twice" if inner == outer else f"lies within {outer}"
            self._log_once(logging.WARNING, f"{inner} {how}: its objects are read twice")

    def _warn_of_unmatched(self) -> None:
        """Warn of patterns that nothing matches, once all sources have been listed."""
        if self._unmatched and len(self._listed) == len(self._parts):
            self._log_once(logging.WARNING, str(self._unmatched))

    def _log_skipped(self, level: int, part: _Part, skipped: SkippedNames) -> None:
        if skipped:
            self._log_once(level, f"{part.about}: {skipped}")

    def _log_once(self, level: int, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            _log.log(level, "<%s> %s", self._owner, text)

    def _why_skipped(self, info: ObjectInfo) -> str:
        """Return why not to read an object that nobody names; "" to read it."""
        if self._name_filter is not None and not self._name_filter(info.name):
            return self._name_filter.why
        return "no bytes" if self._skip_empty and info.size_bytes == 0 else ""


@dataclass(frozen=True)
class _Part:
    """A source of a set.

    Attributes:
        source: The source.
        about: The source as the user named it, for errors and the log.
        selections: What to read of it.
    """

    source: Source
    about: str
    selections: tuple[Selections, ...]

    @property
    def summary(self) -> str:
        """The source as the user named it, with what is read of it."""
        texts = [selections.text for selections in self.selections if selections.text]
        return shown(f"{self.about} [{first_few(texts)}]" if texts else self.about)


def _is_single(sources: Any) -> bool:
    """Tell whether this is one source; a group is, though it can be iterated too."""
    is_source = isinstance(
        sources, (Source, Bucket, ObjectGroup, NamedSource, str, bytes, os.PathLike)
    )
    return (
        is_source or adapt_sdk_object(sources) is not sources or not isinstance(sources, Iterable)
    )


def _about(item: Any) -> str:
    """Return a source as the user named it."""
    if isinstance(item, (PrefixSource, UrlSource, ManifestSource)):
        return str(item.url)
    return str(item) if isinstance(item, (str, os.PathLike)) else repr(item)


def _selections(value: str | Sequence[str] | None) -> tuple[Selections, ...]:
    texts = [value] if isinstance(value, str) else [""] if value is None else list(value)
    if not texts:
        raise ConfigError("prefix_map has an empty list for a source: None takes all of it")
    return tuple(map(Selections, texts))


def _is_hashable(item: Any) -> bool:
    try:
        hash(item)
    except TypeError:
        return False
    return True
