"""The names of Alibaba's OSS connector for PyTorch. They are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.integrations.oss.checkpoint import OssCheckpoint
    from aisio.integrations.oss.data_object import OssDataObject
    from aisio.integrations.oss.datasets import OssIterableDataset, OssMapDataset
    from aisio.integrations.oss.dcp_file_system import (
        OssDCPFileSystem,
        OssStorageReader,
        OssStorageWriter,
    )
    from aisio.integrations.oss.model_connector import OssModelConnector
    from aisio.integrations.oss.safetensor import OssSafetensor
    from aisio.integrations.oss.tar_archive import generate_tar_archive
    from aisio.sources.manifest_parsers import imagenet_manifest_parser

_NAMES_BY_MODULE = {
    "aisio.integrations.oss.checkpoint": ("OssCheckpoint",),
    "aisio.integrations.oss.data_object": ("OssDataObject",),
    "aisio.integrations.oss.datasets": ("OssIterableDataset", "OssMapDataset"),
    "aisio.integrations.oss.safetensor": ("OssSafetensor",),
    "aisio.integrations.oss.dcp_file_system": (
        "OssDCPFileSystem",
        "OssStorageReader",
        "OssStorageWriter",
    ),
    "aisio.integrations.oss.model_connector": ("OssModelConnector",),
    "aisio.integrations.oss.tar_archive": ("generate_tar_archive",),
    "aisio.sources.manifest_parsers": ("imagenet_manifest_parser",),
}
__all__ = [
    "OssCheckpoint",
    "OssDCPFileSystem",
    "OssDataObject",
    "OssIterableDataset",
    "OssMapDataset",
    "OssModelConnector",
    "OssSafetensor",
    "OssStorageReader",
    "OssStorageWriter",
    "generate_tar_archive",
    "imagenet_manifest_parser",
]

__getattr__, __dir__ = lazy_exports(__name__, _NAMES_BY_MODULE)
