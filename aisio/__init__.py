"""Reads training data from AIStore and other object stores into PyTorch, and verifies it.

Names are imported on first use: `import aisio` imports no torch, opens no connection, and does not
read the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports
from aisio.version import __version__

if TYPE_CHECKING:
    from aisio.catalog import Catalog, Resource, read_catalog
    from aisio.checkpoint.streams import Checkpoint
    from aisio.client.client import Bucket, Client, ObjectGroup
    from aisio.client.object import Object
    from aisio.errors import (
        AccessError,
        AisioError,
        ArchiveError,
        CatalogError,
        CheckpointError,
        ConfigError,
        ConflictError,
        DecodeError,
        DigestError,
        IntegrityError,
        MissingExtraError,
        NotFoundError,
        NotSupportedError,
        RangeError,
        ShardError,
        StorageError,
        StoreTimeoutError,
        ThrottledError,
        TruncatedError,
        UnavailableError,
        UrlError,
    )
    from aisio.models.directory import ModelDirectory
    from aisio.models.options import MemoryOptions
    from aisio.pictures.step_stats import plot_stats
    from aisio.records import (
        ByteRange,
        Checksum,
        Concurrency,
        Deleted,
        ObjectInfo,
        RetryPolicy,
        Timeouts,
        TlsFiles,
        UnfinishedUpload,
    )
    from aisio.resources.loading import load
    from aisio.shards.index import ShardIndex
    from aisio.shards.samples import ZeroDict
    from aisio.shards.tar_packing import index_tar, pack_tar
    from aisio.shards.writer import ShardWriter
    from aisio.sources.base import Source
    from aisio.sources.manifest_parsers import imagenet_manifest_parser
    from aisio.sources.resolve import source
    from aisio.training.batch_dataset import AISBatchIterDataset
    from aisio.training.data_object import DataObject
    from aisio.training.data_shard import DataShard
    from aisio.training.loader import Loader
    from aisio.training.mix import mix
    from aisio.training.multi_shard_stream import AISMultiShardStream
    from aisio.training.object_datasets import AISMapDataset
    from aisio.training.object_iter_dataset import AISIterDataset
    from aisio.training.samplers import BucketBatchSampler, DynamicBatchSampler
    from aisio.training.shard_dataset import AISShardDataset
    from aisio.training.shard_reader import AISShardReader
    from aisio.training.shuffle_plot import plot_shuffle
    from aisio.training.shuffle_quality import ShuffleQuality, shuffle_quality
    from aisio.transport.writer import WriteOptions
    from aisio.urls import Namespace, ObjectUrl

_NAMES_BY_MODULE = {
    "aisio.training.batch_dataset": ("AISBatchIterDataset",),
    "aisio.catalog": ("Catalog", "Resource", "read_catalog"),
    "aisio.checkpoint.streams": ("Checkpoint",),
    "aisio.client.client": ("Bucket", "Client", "ObjectGroup"),
    "aisio.client.object": ("Object",),
    "aisio.training.data_shard": ("DataShard",),
    "aisio.training.data_object": ("DataObject",),
    "aisio.training.loader": ("Loader",),
    "aisio.training.mix": ("mix",),
    "aisio.training.multi_shard_stream": ("AISMultiShardStream",),
    "aisio.training.object_datasets": ("AISMapDataset",),
    "aisio.training.object_iter_dataset": ("AISIterDataset",),
    "aisio.errors": (
        "AccessError",
        "AisioError",
        "ArchiveError",
        "CatalogError",
        "CheckpointError",
        "ConfigError",
        "ConflictError",
        "DecodeError",
        "DigestError",
        "IntegrityError",
        "MissingExtraError",
        "NotFoundError",
        "NotSupportedError",
        "RangeError",
        "ShardError",
        "StorageError",
        "StoreTimeoutError",
        "ThrottledError",
        "TruncatedError",
        "UnavailableError",
        "UrlError",
    ),
    "aisio.models.directory": ("ModelDirectory",),
    "aisio.models.options": ("MemoryOptions",),
    "aisio.pictures.step_stats": ("plot_stats",),
    "aisio.records": (
        "ByteRange",
        "Checksum",
        "Concurrency",
        "Deleted",
        "ObjectInfo",
        "RetryPolicy",
        "Timeouts",
        "TlsFiles",
        "UnfinishedUpload",
    ),
    "aisio.resources.loading": ("load",),
    "aisio.training.samplers": ("BucketBatchSampler", "DynamicBatchSampler"),
    "aisio.training.shard_dataset": ("AISShardDataset",),
    "aisio.training.shard_reader": ("AISShardReader",),
    "aisio.training.shuffle_plot": ("plot_shuffle",),
    "aisio.training.shuffle_quality": ("ShuffleQuality", "shuffle_quality"),
    "aisio.shards.index": ("ShardIndex",),
    "aisio.shards.samples": ("ZeroDict",),
    "aisio.shards.tar_packing": ("index_tar", "pack_tar"),
    "aisio.shards.writer": ("ShardWriter",),
    "aisio.sources.base": ("Source",),
    "aisio.sources.manifest_parsers": ("imagenet_manifest_parser",),
    "aisio.sources.resolve": ("source",),
    "aisio.transport.writer": ("WriteOptions",),
    "aisio.urls": ("Namespace", "ObjectUrl"),
}
__all__ = [
    "AISBatchIterDataset",
    "AISIterDataset",
    "AISMapDataset",
    "AISMultiShardStream",
    "AISShardDataset",
    "AISShardReader",
    "AccessError",
    "AisioError",
    "ArchiveError",
    "Bucket",
    "BucketBatchSampler",
    "ByteRange",
    "Catalog",
    "CatalogError",
    "Checkpoint",
    "CheckpointError",
    "Checksum",
    "Client",
    "Concurrency",
    "ConfigError",
    "ConflictError",
    "DataObject",
    "DataShard",
    "DecodeError",
    "Deleted",
    "DigestError",
    "DynamicBatchSampler",
    "IntegrityError",
    "Loader",
    "MemoryOptions",
    "MissingExtraError",
    "ModelDirectory",
    "Namespace",
    "NotFoundError",
    "NotSupportedError",
    "Object",
    "ObjectGroup",
    "ObjectInfo",
    "ObjectUrl",
    "RangeError",
    "Resource",
    "RetryPolicy",
    "ShardError",
    "ShardIndex",
    "ShardWriter",
    "ShuffleQuality",
    "Source",
    "StorageError",
    "StoreTimeoutError",
    "ThrottledError",
    "Timeouts",
    "TlsFiles",
    "TruncatedError",
    "UnavailableError",
    "UnfinishedUpload",
    "UrlError",
    "WriteOptions",
    "ZeroDict",
    "__version__",
    "imagenet_manifest_parser",
    "index_tar",
    "load",
    "mix",
    "pack_tar",
    "plot_shuffle",
    "plot_stats",
    "read_catalog",
    "shuffle_quality",
    "source",
]

_MODULES = (
    "catalog",
    "checkpoint",
    "client",
    "config",
    "datapipes",
    "errors",
    "gateway",
    "integrations",
    "models",
    "records",
    "resources",
    "shards",
    "sources",
    "stats",
    "stores",
    "tasks",
    "testing",
    "transforms",
    "urls",
    "wire",
)
__getattr__, __dir__ = lazy_exports(__name__, _NAMES_BY_MODULE, _MODULES)
