"""Source: which objects to read, from wherever they are named."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.client import Bucket, Client, ObjectGroup
from aisio.client.official import adapt_official
from aisio.errors import ConfigError, UrlError
from aisio.left_out import LeftOut
from aisio.patterns.selections import Selections
from aisio.records import ObjectInfo
from aisio.sources.kinds import (
    GroupSource,
    PrefixSource,
    Source,
    TemplateSource,
    UrlListSource,
    find_store,
    url_of,
)
from aisio.sources.named import (
    PATH_HINT,
    CatalogLike,
    CatalogSource,
    find_source,
    names_source,
)
from aisio.sources.nothing_found import nothing_found
from aisio.sources.url import UrlSource, url_source
from aisio.stores import AisStore, DirectSettings, LocalStore, store_for
from aisio.urls import ObjectUrl

__all__ = [
    "CatalogSource",
    "GroupSource",
    "PrefixMap",
    "PrefixSource",
    "Source",
    "SourceLike",
    "SourceSet",
    "TemplateSource",
    "UrlListSource",
    "UrlSource",
    "source",
    "url_of",
]

_log = logging.getLogger("aisio.sources.resolve")

SourceLike: TypeAlias = (
    "Source | Bucket | ObjectGroup | NamedSource | str | os.PathLike[str] | Iterable[str]"
)
"""What `source` understands; buckets and groups of the official `aistore` package belong to it as
well."""

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


def source(
    what: SourceLike,
    *,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
    catalog: CatalogLike | None = None,
) -> Source:
    """Return the source that something stands for.

    Args:
        what: The URL of a bucket, prefix or object, or a pattern of URLs ("ais://imagenet/train/",
            "file:///data/train-{000..099}.tar", see `aisio.patterns`), a list of URLs of objects,
            a Path of a local folder or file, a Bucket, an ObjectGroup, one of either from
            the official `aistore` package, a Source, which is returned as it is, or a name in a
            catalog: "team/imagenet-train", also written "catalog://team/imagenet-train".
        client: The cluster for URLs and names; without it the one that a name's entry says, else
            one made from the environment.
        direct: For URLs of clouds, go round the cluster; see `store_for`.
        catalog: Where names are looked up: a catalog, or a folder of catalog files; without it the
            folders in AISIO_CATALOG, or else the user's own.

    Raises:
        UrlError: A URL that cannot be meant, or what could be a name and is in no catalog.
        CatalogError: The catalog's files are wrong, or have no such name where it is written as
            catalog://.
        ConfigError: Something else, or a cluster is needed and not known; or the name is that of a
            resource.
    """
    adapted = adapt_official(what)
    if isinstance(adapted, Source):
        return adapted
    if isinstance(adapted, Bucket):
        return PrefixSource(AisStore(adapted.client), adapted.url)
    if isinstance(adapted, ObjectGroup):
        return GroupSource(adapted)
    if isinstance(adapted, NamedSource):
        return CatalogSource.of(adapted, client=client, direct=direct)
    if isinstance(adapted, str) and names_source(adapted):
        return find_source(adapted, catalog, client=client, direct=direct)
    if isinstance(adapted, str):
        url = _url(adapted)
        return url_source(store_for(url, client, direct=direct), url)
    if isinstance(adapted, os.PathLike):
        return _path_source(Path(adapted).resolve())
    if isinstance(adapted, Iterable) and not isinstance(adapted, bytes):
        return UrlListSource(adapted, find_store(client, direct))
    raise ConfigError(
        f"a {type(what).__name__} is no source: "
        "pass a URL, URLs, a name in a catalog, a Path, a Bucket or an ObjectGroup"
    )


def _url(text: str) -> ObjectUrl:
    try:
        return ObjectUrl.parse(text)
    except UrlError as error:
        if "://" in text:
            raise
        raise UrlError(f"{error}; {PATH_HINT}", url=text) from None


def _path_source(path: Path) -> Source:
    """Return the source of a folder, or of one file; whatever characters the path has."""
    if path.is_file():
        return UrlListSource([f"file://{path}"], find_store(None))
    return PrefixSource(LocalStore(), ObjectUrl.parse(f"file://{path}/"))


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
    return one or adapt_official(sources) is not sources or not isinstance(sources, Iterable)


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
