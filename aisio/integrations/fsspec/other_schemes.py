"""The file systems of s3://, gs:// and az://, which fsspec uses once a program registers them."""

from __future__ import annotations

import fsspec

from aisio.errors import ConfigError
from aisio.integrations.fsspec.filesystem import AisFileSystem

__all__ = ["AzureFileSystem", "GoogleFileSystem", "S3FileSystem", "register"]


class S3FileSystem(AisFileSystem):
    """Objects of S3, directly or through a cluster; see `register`."""

    protocol = ("s3", "s3a")


class GoogleFileSystem(AisFileSystem):
    """Objects of Google Cloud Storage, directly or through a cluster; see `register`."""

    protocol = ("gs", "gcs")


class AzureFileSystem(AisFileSystem):
    """Objects of Azure Blob Storage, directly or through a cluster; see `register`."""

    protocol = ("az", "abfs")


def register(*schemes: str) -> None:
    """Have fsspec use aisio for URLs of other schemes too, in this process.

    Args:
        schemes: Of s3, s3a, gs, gcs, az and abfs.

    Raises:
        ConfigError: None, or another one.
    """
    classes = (S3FileSystem, GoogleFileSystem, AzureFileSystem)
    known = {scheme: one for one in classes for scheme in one.protocol}
    if unknown := [scheme for scheme in schemes if scheme not in known] or not schemes:
        raise ConfigError(f"register({unknown!r}): expected one or more of {', '.join(known)}")
    for scheme in schemes:
        fsspec.register_implementation(scheme, known[scheme], clobber=True)
