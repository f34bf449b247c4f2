"""What hard links in the shards of a dataset stand for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aisio.records import ObjectInfo
from aisio.shards.linked_files import LinkedFiles
from aisio.shards.prefetch import Shard
from aisio.sources.base import Source, url_of
from aisio.transport.body import Body

__all__ = ["linked_shard", "links_of", "opened"]


def links_of(source: Source, info: ObjectInfo, etl_name: str | None = None) -> LinkedFiles | None:
    """Return what reads the files that hard links of a shard stand for.

    Args:
        source: The source of the shard.
        info: The shard.
        etl_name: The ETL that the caller names; see `Source.effective_etl`.

    Returns:
        None if an ETL transforms the shard: a store has no ranges of that. Others are of no use
        before the shard is `opened`.
    """
    if source.effective_etl(etl_name):
        return None
    return LinkedFiles(source.store_of(info), url_of(info))


def linked_shard(source: Source, info: ObjectInfo, etl_name: str | None = None) -> Shard:
    """Return a shard to be read whole, and what its hard links stand for; see `links_of`."""
    links = links_of(source, info, etl_name)
    open_body = partial(source.get, info, etl_name=etl_name)
    return Shard(info, partial(opened, links, open_body), links=links)


def opened(links: LinkedFiles | None, open_body: Callable[[], Body]) -> Body:
    """Open a shard, or a part of it, whose version the files of its links must have.

    Args:
        links: From `links_of`.
        open_body: Opens it.
    """
    body = open_body()
    return body if links is None else links.opened(body)
