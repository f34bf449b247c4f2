"""What hard links in the shards of a dataset stand for."""

from __future__ import annotations

from aisio.records import ObjectInfo
from aisio.shards.linked_files import LinkedFiles
from aisio.sources.base import Source, url_of

__all__ = ["links_of"]


def links_of(source: Source, info: ObjectInfo, etl_name: str | None = None) -> LinkedFiles | None:
    """Return what reads the files that hard links of a shard stand for.

    Args:
        source: The source of the shard.
        info: The shard.
        etl_name: The ETL that the caller names; see `Source.effective_etl`.

    Returns:
        None if an ETL transforms the shard: a store has no ranges of that.
    """
    if source.effective_etl(etl_name):
        return None
    return LinkedFiles(source.store_of(info), url_of(info), info)
