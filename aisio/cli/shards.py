"""What the commands `index` and `verify` share: the shards of their URLs, and a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from aisio.cli.cluster import Cluster
from aisio.cli.progress import Progress, show_progress
from aisio.cli.types import CatalogName
from aisio.errors import ConfigError
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.shards.index_jobs import ListedShard
    from aisio.shards.index_loading import IndexPlace
    from aisio.sources.source_set import SourceSet

__all__ = ["index_place", "list_shards", "read_progress", "shard_sources"]


def shard_sources(
    cluster: Cluster, urls: Sequence[ObjectUrl | CatalogName], command: str
) -> SourceSet:
    """Return the sources of these URLs, read as AISShardReader reads them: patterns included.

    Args:
        cluster: The cluster of the command.
        urls: URLs and names.
        command: The command's name, for errors and the log.

    Raises:
        ConfigError: A source has its objects transformed by an ETL.
    """
    from aisio.shards.names import ShardNames
    from aisio.sources.source_set import SourceSet
    from aisio.sources.url import url_source

    sources = [
        url.source(cluster) if isinstance(url, CatalogName) else url_source(cluster.store(url), url)
        for url in urls
    ]
    names = ShardNames(advice="give the URLs of those that are")
    found = SourceSet(sources, owner=command, name_filter=names)
    if found.has_etl:
        raise ConfigError(f"{command}: an ETL transforms these shards: there is no index of that")
    return found


def list_shards(sources: SourceSet) -> list[ListedShard]:
    """List the shards, with their sizes and what opens each of them.

    Raises:
        NotFoundError: A source has no shard.
    """
    from aisio.shards.index_jobs import ListedShard

    return [
        ListedShard(source.completed(info), partial(source.get, info))
        for source, info in sources.list()
    ]


def index_place(sources: SourceSet) -> IndexPlace | None:
    """Return where the index of these sources is, beside them; None for several, or a pattern."""
    from aisio.shards.index_loading import IndexPlace

    place = sources.place()
    return IndexPlace.beside(*place) if place is not None else None


def read_progress(shards: Sequence[ListedShard], title: str) -> AbstractContextManager[Progress]:
    """Show how many bytes of the shards are read."""
    sizes = [shard.info.size_bytes for shard in shards]
    return show_progress(title, None if None in sizes else sum(size or 0 for size in sizes))
