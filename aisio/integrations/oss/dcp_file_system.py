"""OssDCPFileSystem: torch's distributed checkpoints on OSS by the connector's names."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aisio.checkpoint.dcp.file_system import FileSystem
from aisio.checkpoint.dcp.reader import StorageReader
from aisio.checkpoint.dcp.writer import StorageWriter
from aisio.errors import ConfigError, UrlError
from aisio.integrations.oss.connection import OssConnected
from aisio.integrations.oss.uris import object_url
from aisio.stores import DirectSettings

__all__ = ["OssDCPFileSystem", "OssStorageReader", "OssStorageWriter"]

_OWNER = "OssDCPFileSystem"


class OssDCPFileSystem(OssConnected, FileSystem):
    """Files of distributed checkpoints on OSS.

        file_system = OssDCPFileSystem(endpoint, cred_path)
        dcp.save(state, storage_writer=file_system.writer("oss://bucket/run/100"))
        dcp.load(state, storage_reader=file_system.reader("oss://bucket/run/100"))

    Its arguments are those of `OssConnected`: endpoint, keys, configuration file and region.
    """

    def _connected(self) -> None:
        FileSystem.__init__(self, **self._connection.write_options())

    def writer(self, path: str | os.PathLike[str], **options: Any) -> OssStorageWriter:
        """Return what `dcp.save` writes a checkpoint with.

        Args:
            path: Where it goes, as in "oss://bucket/run/100" or "/bucket/run/100".
            **options: `thread_count` and `overwrite` of `aisio.checkpoint.StorageWriter`.
        """
        return OssStorageWriter(self, path, **options)

    def reader(self, path: str | os.PathLike[str]) -> OssStorageReader:
        """Return what `dcp.load` reads a checkpoint with.

        Args:
            path: Where it is.
        """
        return OssStorageReader(self, path)

    def direct(self) -> bool | DirectSettings:
        """Return how to reach OSS."""
        return self._connection.settings(self._connection.config.checkpoint_config.timeout_ms)

    def write_options(self) -> dict[str, Any]:
        """Return the options of what writes files."""
        return self._connection.write_options()

    def read_options(self) -> dict[str, Any]:
        """Return the options of what reads files."""
        return self._connection.read_options()

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[io.IOBase]:
        """See `FileSystem.create_stream`."""
        with super().create_stream(_url(path), mode) as file:
            yield file

    def concat_path(self, path: str | os.PathLike[str], suffix: str) -> str:
        """See `FileSystem.concat_path`."""
        return super().concat_path(_url(path), suffix)

    def init_path(self, path: str | os.PathLike[str]) -> str:
        """See `FileSystem.init_path`."""
        return super().init_path(_url(path))

    def exists(self, path: str | os.PathLike[str]) -> bool:
        """See `FileSystem.exists`."""
        return super().exists(_url(path))

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        """See `FileSystem.rename`."""
        super().rename(_url(path), _url(new_path))

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        """See `FileSystem.rm_file`."""
        super().rm_file(_url(path))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether a checkpoint may be at a URI."""
        return _can_be_checkpoint(checkpoint_id)


class OssStorageWriter(StorageWriter):
    """Writes distributed checkpoints to OSS; see `aisio.checkpoint.StorageWriter`.

    Args:
        fs: How to reach OSS.
        path: Where the checkpoint goes.
        **options: `thread_count` and `overwrite`.
    """

    def __init__(self, fs: OssDCPFileSystem, path: str | os.PathLike[str], **options: Any) -> None:
        self.fs = fs
        super().__init__(path, **fs.write_options(), **options)

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """See `StorageWriter.reset`."""
        super().reset(None if checkpoint_id is None else _url(checkpoint_id))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether a checkpoint may be at a URI."""
        return _can_be_checkpoint(checkpoint_id)


class OssStorageReader(StorageReader):
    """Reads distributed checkpoints from OSS; see `aisio.checkpoint.StorageReader`.

    Args:
        fs: How to reach OSS.
        path: Where the checkpoint is.
    """

    def __init__(self, fs: OssDCPFileSystem, path: str | os.PathLike[str]) -> None:
        self.fs = fs
        super().__init__(path, **fs.read_options())

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """See `StorageReader.reset`."""
        super().reset(None if checkpoint_id is None else _url(checkpoint_id))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether a checkpoint may be at a URI."""
        return _can_be_checkpoint(checkpoint_id)


def _url(path: str | os.PathLike[str]) -> str:
    return object_url(_OWNER, "path", path, is_local=False)


def _can_be_checkpoint(checkpoint_id: object) -> bool:
    if not isinstance(checkpoint_id, (str, os.PathLike)):
        return False
    try:
        _url(checkpoint_id)
    except (ConfigError, UrlError):
        return False
    return True
