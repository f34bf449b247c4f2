"""Source: which objects to read, from wherever they are named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, Client, ObjectGroup
from aisio.errors import ConfigError, UrlError
from aisio.sources.base import Source, find_store
from aisio.sources.kinds import GroupSource, PrefixSource, UrlListSource
from aisio.sources.named import (
    PATH_HINT,
    CatalogLike,
    CatalogSource,
    find_source,
    names_source,
)
from aisio.sources.url import url_source
from aisio.stores import AisStore, DirectSettings, LocalStore, store_for
from aisio.urls import ObjectUrl

__all__ = ["SourceLike", "source"]

SourceLike: TypeAlias = (
    "Source | Bucket | ObjectGroup | NamedSource | str | os.PathLike[str] | Iterable[str]"
)
"""What `source` understands; buckets and groups of the official `aistore` package belong to it as
well."""


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
    adapted = adapt_sdk_object(what)
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
