"""shard_urls: the shards of any source as URLs that webdataset's opener understands.

A shard of a source that a catalog names is written `catalog://TEAM/NAME/SHARD`, SHARD being the
shard's name below the source's folder. So it is read as the entry says: from its endpoint, through
its ETL, compared with its digest. A shard outside of that folder is named by its whole URL.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from aisio.catalog.entries import NamedSource
from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.escapes import one_line
from aisio.patterns.name_patterns import Patterns
from aisio.records import ObjectInfo
from aisio.shards.names import ShardNames
from aisio.sources.base import Source
from aisio.sources.catalog_source import SCHEME, CatalogSource
from aisio.sources.named import find_source
from aisio.sources.source_set import SourceSet

__all__ = ["catalog_shard", "shard_url", "shard_urls"]

_OWNER = "shard_urls"


def shard_urls(
    source: str | Path,
    *,
    shard_names: str | list[str] | None = None,
    include: Patterns = None,
    exclude: Patterns = None,
) -> list[str]:
    """List the shards of a source, for `wds.WebDataset(shard_urls(...))`.

    Every rank lists for itself, and ranks must have the same list: call it while no shards are
    written.

    Args:
        source: The URL of a prefix, shard or pattern, or a name in a catalog. Its cluster is the
            one that the environment or the catalog names, as that is how webdataset opens the URLs.
            A `Path` of a folder gives file:// URLs, which webdataset opens without aisio.
        shard_names: Which objects are shards, as for `AISShardReader`.
        include: Patterns for names of shards; see `aisio.patterns.name_patterns`.
        exclude: Patterns for names of shards to leave out.

    Raises:
        UrlError: It is no valid URL, and no name in the catalog.
        NotFoundError: It has no shard.
    """
    if not isinstance(source, (str, Path)):
        raise ConfigError(
            f"shard_urls() of a {type(source).__name__}: a URL, a name in a catalog or a Path is"
            " needed; webdataset opens by URL, so the client of a bucket would be lost"
        )
    shards = SourceSet(
        source,
        owner=_OWNER,
        name_filter=ShardNames(shard_names),
        include=include,
        exclude=exclude,
    )
    listed = shards.list()
    return [shard_url(one, info) for one, info in listed]


def catalog_shard(url: str) -> tuple[Source, ObjectInfo]:
    """Return the source and the listed object of a catalog:// URL.

    The source is listed once in a process, and again for a shard that was not there: the entry's
    digest, if it has one, is of the listing.

    Raises:
        CatalogError: There is no such name.
        NotFoundError: The source has no such shard.
        ConfigError: The URL names no shard, and the source has several.
    """
    team, name, shard = (*url.removeprefix(SCHEME).split("/", 2), "", "")[:3]
    if not team or not name:
        raise UrlError(f"{url!r}: catalog://TEAM/NAME/SHARD is needed", url=url)
    source = find_source(f"{SCHEME}{team}/{name}")
    shards = _shards_of(source.entry)
    if not shard and len(shards) == 1:
        shard = next(iter(shards))
    if not shard:
        raise ConfigError(
            f"{url}: the source has {len(shards):,} shards, and webdataset opens one by URL: pass"
            f" shard_urls({url!r}), or name them, as in {SCHEME}{team}/{name}/{next(iter(shards))}"
        )
    if shard not in shards:
        _shards_of.cache_clear()  # it may be new
        shards = _shards_of(source.entry)
    if shard not in shards:
        raise NotFoundError(f"{url}: {team}/{name} has no object {one_line(shard)!r}", url=url)
    return source, shards[shard]


def shard_url(source: Source, info: ObjectInfo) -> str:
    """Return the URL by which webdataset opens an object of a source."""
    if not isinstance(source, CatalogSource):
        return info.url
    return f"{SCHEME}{source.entry.tag}/{_name_in(source, info)}"


def _name_in(source: Source, info: ObjectInfo) -> str:
    base = source.base_url
    return info.url.removeprefix(base) if base else info.url


@lru_cache(maxsize=16)
def _shards_of(entry: NamedSource) -> dict[str, ObjectInfo]:
    """Return the objects of an entry by their names in it, without those that are no shards."""
    source = CatalogSource.of(entry)
    listed = SourceSet(source, owner=_OWNER, name_filter=ShardNames()).list()
    return {_name_in(source, info): info for _, info in listed}
