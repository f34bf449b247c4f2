"""open_dataset(): the dataset of a split, from whatever a data module was given."""

from __future__ import annotations

from itertools import islice
from os import PathLike
from typing import Any

from aisio.catalog.entries import NamedSource
from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Bucket, ObjectGroup
from aisio.shards.names import ShardNames
from aisio.sources.base import Source
from aisio.sources.source_set import SourceSet
from aisio.training.object_datasets import AISMapDataset
from aisio.training.shard_dataset import AISShardDataset

__all__ = ["open_dataset"]

_LOOKED_AT = 1000
"""So many objects of a source decide what it is: AIStore and S3 list them by one request."""

_SOURCES = (str, PathLike, Source, Bucket, ObjectGroup, NamedSource)


def open_dataset(what: Any, owner: str) -> Any:
    """Return the map-style dataset of a source, or what was given if it is one.

    A source with a tar shard among its first 1,000 objects is an `AISShardDataset`, any other an
    `AISMapDataset`.

    Args:
        what: A dataset; a function that makes one; or a source, or a list of sources, as these
            datasets take them.
        owner: Name of the class that reads, for errors.

    Raises:
        NotFoundError: The source has no object.
        UrlError, CatalogError: It is no URL, or a name that is in no catalog.
    """
    if _is_source(what) or (
        isinstance(what, (list, tuple)) and what and all(map(_is_source, what))
    ):
        return AISShardDataset(what) if _has_shards(what, owner) else AISMapDataset(what)
    is_dataset = hasattr(what, "__len__") or hasattr(what, "__getitem__")
    return what() if callable(what) and not is_dataset else what


def _is_source(what: Any) -> bool:
    return isinstance(adapt_sdk_object(what), _SOURCES)


def _has_shards(what: Any, owner: str) -> bool:
    is_shard = ShardNames()
    objects = islice(SourceSet(what, owner=owner).list(), _LOOKED_AT)
    return any(is_shard(info.name) for _, info in objects)
