"""The fastest and most trustworthy PyTorch readers over AIStore and other object stores.

Names are imported on first use: `import aisio` loads no torch, opens nothing and reads no
environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aisio.version import __version__

if TYPE_CHECKING:
    from aisio.batch_dataset import AISBatchIterDataset
    from aisio.catalog import Catalog, Resource, read_catalog
    from aisio.client import Bucket, Client, Object, ObjectGroup
    from aisio.datasets import AISIterDataset, AISMapDataset
    from aisio.errors import (
        AccessError,
        AisioError,
        ArchiveError,
        CatalogError,
        ConfigError,
        ConflictError,
        DigestError,
        IntegrityError,
        MissingExtraError,
        NotFoundError,
        RangeError,
        ShardError,
        StorageError,
        StoreTimeoutError,
        ThrottledError,
        TruncatedError,
        UnavailableError,
        UrlError,
    )
    from aisio.pace import Concurrency
    from aisio.records import ByteRange, Checksum, ObjectInfo, RetryPolicy, Timeouts, TlsFiles
    from aisio.resources.loading import load
    from aisio.shard_reader import AISShardReader
    from aisio.shards import ZeroDict
    from aisio.sources import Source, source
    from aisio.urls import Namespace, ObjectUrl

_HOMES = {
    "aisio.batch_dataset": ("AISBatchIterDataset",),
    "aisio.catalog": ("Catalog", "Resource", "read_catalog"),
    "aisio.client": ("Bucket", "Client", "Object", "ObjectGroup"),
    "aisio.datasets": ("AISIterDataset", "AISMapDataset"),
    "aisio.errors": (
        "AccessError",
        "AisioError",
        "ArchiveError",
        "CatalogError",
        "ConfigError",
        "ConflictError",
        "DigestError",
        "IntegrityError",
        "MissingExtraError",
        "NotFoundError",
        "RangeError",
        "ShardError",
        "StorageError",
        "StoreTimeoutError",
        "ThrottledError",
        "TruncatedError",
        "UnavailableError",
        "UrlError",
    ),
    "aisio.pace": ("Concurrency",),
    "aisio.records": ("ByteRange", "Checksum", "ObjectInfo", "RetryPolicy", "Timeouts", "TlsFiles"),
    "aisio.resources.loading": ("load",),
    "aisio.shard_reader": ("AISShardReader",),
    "aisio.shards": ("ZeroDict",),
    "aisio.sources": ("Source", "source"),
    "aisio.urls": ("Namespace", "ObjectUrl"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AISBatchIterDataset",
    "AISIterDataset",
    "AISMapDataset",
    "AISShardReader",
    "AccessError",
    "AisioError",
    "ArchiveError",
    "Bucket",
    "ByteRange",
    "Catalog",
    "CatalogError",
    "Checksum",
    "Client",
    "Concurrency",
    "ConfigError",
    "ConflictError",
    "DigestError",
    "IntegrityError",
    "MissingExtraError",
    "Namespace",
    "NotFoundError",
    "Object",
    "ObjectGroup",
    "ObjectInfo",
    "ObjectUrl",
    "RangeError",
    "Resource",
    "RetryPolicy",
    "ShardError",
    "Source",
    "StorageError",
    "StoreTimeoutError",
    "ThrottledError",
    "Timeouts",
    "TlsFiles",
    "TruncatedError",
    "UnavailableError",
    "UrlError",
    "ZeroDict",
    "__version__",
    "load",
    "read_catalog",
    "source",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'aisio' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
