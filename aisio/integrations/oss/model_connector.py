"""OssModelConnector: aisio's model directories by the connector's names."""

from __future__ import annotations

import builtins
import io
import os
from typing import Any, NamedTuple

from aisio.errors import ConfigError
from aisio.integrations.oss.connection import OssConnected
from aisio.integrations.oss.uris import object_url, required
from aisio.models.connector import ModelConnector
from aisio.models.directory import ModelDirectory

__all__ = ["DataObjectInfo", "OssModelConnector"]

_OWNER = "OssModelConnector"


class DataObjectInfo(NamedTuple):
    """An object of a listing.

    Attributes:
        key: Its name in the bucket.
        size: Its size in bytes.
    """

    key: str
    size: int


class OssModelConnector(OssConnected):
    """Opens and lists the files of models on OSS, and prepares folders of them.

    Args:
        endpoint: The bucket's endpoint, a URL or a host.
        cred_path: JSON file with the keys; or pass `cred_provider`.
        config_path: The configuration file.
        cred_provider: An object whose `get_credentials()` returns the keys.
        region: The bucket's region, where the endpoint does not tell it.

    Raises:
        ConfigError: There is no endpoint or no key, or another argument is not valid.
    """

    def __init__(
        self,
        endpoint: str,
        cred_path: str = "",
        config_path: str = "",
        cred_provider: Any = None,
        region: str = "",
    ) -> None:
        if endpoint and not cred_path and cred_provider is None:
            raise ConfigError(f"<{_OWNER}> Either cred_path or cred_provider must be provided")
        super().__init__(endpoint, cred_path, config_path, cred_provider, region)
        self._connector = ModelConnector(direct=self._connection.direct)

    def open(self, uri: str, binary: bool = True) -> io.BufferedReader | io.TextIOWrapper:
        """Open an object, and begin to read it; see `aisio.models.ModelConnector.open`.

        Args:
            uri: The object, as in "oss://bucket/key" or "/bucket/key".
            binary: Return a binary file; else one of text in UTF-8.

        Raises:
            UrlError: It is no URI of an object.
            NotFoundError: No such object.
        """
        return self._connector.open(object_url(_OWNER, "uri", uri, is_local=False), binary)

    def list(self, bucket: str, prefix: str, fast: bool = False) -> builtins.list[DataObjectInfo]:
        """List the objects of a bucket whose names begin with a prefix, in order.

        Args:
            bucket: Name of the bucket, or its URL.
            prefix: What names begin with.
            fast: Of no effect: every listing is complete, in order.

        Raises:
            NotFoundError: No such bucket.
        """
        required(_OWNER, "bucket", bucket)
        name = bucket.removeprefix("oss://").strip("/")
        url = object_url(_OWNER, "bucket", f"oss://{name}", is_local=False)
        found = self._connector.list(url, prefix, fast)
        return [DataObjectInfo(info.name, info.size_bytes or 0) for info in found]

    def prepare_directory(
        self, uri: str, dir: str | os.PathLike[str], libc_hook: bool = False, **options: Any
    ) -> ModelDirectory:
        """Prepare a folder with the files of a model; see `aisio.models.ModelDirectory`.

        Args:
            uri: The folder of the model, as in "oss://bucket/llama/".
            dir: The local folder.
            libc_hook: Of no effect: the large files are links to shared memory, which any program
                can open.
            **options: Further arguments of `ModelDirectory`.

        Raises:
            ConfigError: The folder holds other files, or the large ones do not fit into memory.
            NotFoundError: There are no such files.
        """
        url = object_url(_OWNER, "uri", uri, is_local=False)
        return self._connector.prepare_directory(url, dir, **options)

    def close(self) -> None:
        """Close the folders that were prepared, the last one first."""
        self._connector.close()

    def __enter__(self) -> OssModelConnector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Not by contextlib: at the end of the program the names of this module are None.
        if hasattr(self, "_connector"):  # __init__ may have failed
            self.close()
