"""source(): the one way from a URL, name, path, bucket or group to a Source."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, Client, ObjectGroup
from aisio.errors import ConfigError
from aisio.patterns.name_patterns import NamePatterns, Patterns
from aisio.sources.base import Source
from aisio.sources.catalog_source import CatalogSource
from aisio.sources.filtered import filtered
from aisio.sources.kinds import GroupSource, PrefixSource, UrlListSource
from aisio.sources.named import CatalogLike, find_source, is_catalog_name, parse_url
from aisio.sources.url import url_source
from aisio.stores import AisStore, DirectSettings, LocalStore, store_for
from aisio.urls import ObjectUrl

__all__ = ["SourceLike", "source"]

SourceLike: TypeAlias = (
    "Source | Bucket | ObjectGroup | NamedSource | str | os.PathLike[str] | Iterable[str]"
)
"""What `source` understands; also buckets and groups of the official `aistore` package."""


def source(
    what: SourceLike,
    *,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
    catalog: CatalogLike | None = None,
    include: Patterns = None,
    exclude: Patterns = None,
) -> Source:
    """Return the source of the objects that `what` names.

    Args:
        what: The URL of a bucket, prefix or object, or a pattern of URLs ("ais://imagenet/train/",
            "file:///data/train-{000..099}.tar", see `aisio.patterns`), a list of URLs of objects,
            a Path of a local folder or file, a Bucket or ObjectGroup of aisio or of the official
            `aistore` package, a Source, which is returned unchanged, or a name in a catalog:
            "team/imagenet-train", also written "catalog://team/imagenet-train".
        client: The cluster for URLs and names; without it the one that a name's entry has, else one
            made from the environment.
        direct: Read URLs of clouds directly, not through the cluster; see `store_for`.
        catalog: Where to look up names: a catalog, or a folder of catalog files; without it the
            folders in AISIO_CATALOG, or else the user's own.
        include: Patterns for names: only objects that match one are in the source; see
            `aisio.patterns.name_patterns`.
        exclude: Patterns for names: objects that match one are not in it.

    Raises:
        UrlError: A URL or pattern is not valid, or a text could be a name and is in no catalog.
        CatalogError: The catalog's files hold errors, or have no such name where it is written as
            catalog://.
        ConfigError: `what` is of another type, or the name of a resource; or a cluster is needed
            and not known; or there is an empty pattern.
    """
    patterns = NamePatterns(include, exclude)
    return filtered(_source(what, client, direct, catalog), patterns)


def _source(
    what: SourceLike,
    client: Client | None,
    direct: bool | DirectSettings,
    catalog: CatalogLike | None,
) -> Source:
    adapted = adapt_sdk_object(what)
    if isinstance(adapted, Source):
        return adapted
    if isinstance(adapted, Bucket):
        return PrefixSource(AisStore(adapted.client), adapted.url)
    if isinstance(adapted, ObjectGroup):
        return GroupSource(adapted)
    if isinstance(adapted, NamedSource):
        return CatalogSource.of(adapted, client=client, direct=direct)
    if isinstance(adapted, str):
        if is_catalog_name(adapted):
            return find_source(adapted, catalog, client=client, direct=direct)
        url = parse_url(adapted)
        return url_source(store_for(url, client, direct=direct), url)
    if isinstance(adapted, os.PathLike):
        return _path_source(Path(adapted).resolve())
    if isinstance(adapted, Iterable) and not isinstance(adapted, bytes):
        return UrlListSource(adapted, partial(store_for, client=client, direct=direct))
    raise ConfigError(
        f"a {type(what).__name__} is no source: "
        "pass a URL, URLs, a name in a catalog, a Path, a Bucket or an ObjectGroup"
    )


def _path_source(path: Path) -> Source:
    """Return the source of a folder, or of one file; no character of a path is a pattern."""
    if path.is_file():
        return UrlListSource([f"file://{path}"], store_for)
    return PrefixSource(LocalStore(), ObjectUrl.parse(f"file://{path}/"))
