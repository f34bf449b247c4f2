"""Source: which objects to read, from wherever they are named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client import Bucket, Client, ObjectGroup
from aisio.errors import ConfigError
from aisio.named_sources import CatalogLike, CatalogSource, find_source, names_source
from aisio.official import adapt_official
from aisio.records import ObjectInfo
from aisio.source_kinds import (
    GroupSource,
    PrefixSource,
    Source,
    TemplateSource,
    UrlListSource,
    find_store,
    url_of,
)
from aisio.stores import AisStore, DirectSettings, store_for
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
    "source",
    "url_of",
]

SourceLike: TypeAlias = (
    "Source | Bucket | ObjectGroup | NamedSource | str | os.PathLike[str] | Iterable[str]"
)
"""What `source` understands; buckets and groups of the official `aistore` package belong to it as
well."""

PrefixMap: TypeAlias = "Mapping[Any, str | Sequence[str] | None]"
"""Source -> the prefix or prefixes of the objects to take from it; a source without one gives
all."""


def source(
    what: SourceLike,
    *,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
    catalog: CatalogLike | None = None,
) -> Source:
    """Return the source that something stands for.

    Args:
        what: The URL of a bucket or prefix ("ais://imagenet/train/", "file:///data/"), a list of
            URLs of objects, a Path of a local folder, a Bucket, an ObjectGroup, one of either from
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
        url = ObjectUrl.parse(adapted)
        return PrefixSource(store_for(url, client, direct=direct), url)
    if isinstance(adapted, os.PathLike):
        return source(f"file://{Path(adapted).resolve()}/", client=client)
    if isinstance(adapted, Iterable) and not isinstance(adapted, bytes):
        return UrlListSource(adapted, find_store(client, direct))
    raise ConfigError(
        f"a {type(what).__name__} is no source: "
        "pass a URL, URLs, a name in a catalog, a Path, a Bucket or an ObjectGroup"
    )


class SourceSet:
    """Several sources in order, each cut down to its prefixes: what a dataset reads.

    Args:
        sources: One source, or a list of them, in any form that `source` understands.
        prefix_map: What to take from each; the keys are the very values given in `sources`.
        owner: Name of the class on whose behalf errors speak.
        client: The cluster for sources given as URLs or names.
        direct: For URLs of clouds, go round the cluster; see `store_for`.

    Raises:
        ValueError: No source at all.
        ConfigError: The prefix map names something that is not among the sources.
    """

    def __init__(
        self,
        sources: Any,
        prefix_map: PrefixMap | None = None,
        *,
        owner: str,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
    ) -> None:
        given = [sources] if _is_single(sources) else list(sources)
        if not given:
            raise ValueError(f"<{owner}> ais_source_list must be provided")
        prefixes = prefix_map or {}
        self._parts = [
            (
                source(item, client=client, direct=direct),
                _prefixes(prefixes.get(item) if _hashable(item) else None),
            )
            for item in given
        ]
        known = {item for item in given if _hashable(item)}
        unknown = ", ".join(repr(key) for key in prefixes if key not in known)
        if unknown:
            raise ConfigError(
                f"<{owner}> prefix_map has keys that are not among the sources: {unknown}"
            )

    def __len__(self) -> int:
        return len(self._parts)

    def list(self, only: slice = slice(None)) -> Iterator[tuple[Source, ObjectInfo]]:
        """List the objects of all sources, or of a slice of them, each with its source; lazily.

        Prefixes are taken in their order: where two overlap, an object comes twice.
        """
        for one, prefixes in self._parts[only]:
            for prefix in prefixes:
                for info in one.list(prefix):
                    yield one, info


def _is_single(sources: Any) -> bool:
    """Tell one source from several: a group is a source, though it can be iterated too."""
    one = isinstance(sources, (Source, Bucket, ObjectGroup, NamedSource, str, bytes, os.PathLike))
    return one or adapt_official(sources) is not sources or not isinstance(sources, Iterable)


def _prefixes(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ("",)
    return (value,) if isinstance(value, str) else tuple(value)


def _hashable(item: Any) -> bool:
    try:
        hash(item)
    except TypeError:
        return False
    return True
