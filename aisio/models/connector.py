"""ModelConnector: models of one kind of store, opened, listed and prepared as folders."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from functools import partial
from typing import Any

from aisio.checkpoint.streams import Checkpoint
from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.models.directory import ModelDirectory
from aisio.records import ObjectInfo
from aisio.stores import DirectSettings, store_for
from aisio.urls import ObjectUrl

__all__ = ["ModelConnector"]


class ModelConnector:
    """Opens and lists the files of models, and prepares folders, with one set of settings.

    Args:
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
    """

    def __init__(
        self,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
    ) -> None:
        self._client = explicit_client(client, endpoint)
        self._direct = direct
        self._checkpoint = Checkpoint(client=self._client, direct=direct)
        self._prepare = partial(ModelDirectory, client=self._client, direct=direct)
        self._directories = ExitStack()

    def open(self, url: str, binary: bool = True) -> io.BufferedReader | io.TextIOWrapper:
        """Open a file, and begin to read it; files that are opened one by one are on their way.

        Args:
            url: The object.
            binary: Return a binary file; else one of text in UTF-8.

        Raises:
            UrlError: The URL is not valid, or names no object.
            NotFoundError: No such object.
        """
        file = self._checkpoint.reader(url)
        file.prefetch()
        return file if binary else io.TextIOWrapper(file, encoding="utf-8")

    def list(self, bucket: str, prefix: str = "", fast: bool = False) -> list[ObjectInfo]:
        """List the objects of a bucket whose names begin with a prefix.

        Args:
            bucket: URL of the bucket, as in "ais://models".
            prefix: What names begin with.
            fast: For callers of Alibaba's connector: every listing is complete, in the order of the
                names, and as fast as the store allows.

        Raises:
            UrlError: No such bucket can exist.
            NotFoundError: No such bucket.
        """
        url = ObjectUrl.parse(bucket)
        if prefix:
            url = url.join(prefix)
        return list(store_for(url, self._client, direct=self._direct).list(url))

    def prepare_directory(
        self,
        url: str,
        dir: str | os.PathLike[str],
        **options: Any,
    ) -> ModelDirectory:
        """Prepare a folder with the files of a model; it is closed with this object.

        Args:
            url: The folder of the model.
            dir: The local folder.
            options: Further arguments of `ModelDirectory`.

        Returns:
            The directory, prepared.

        Raises:
            AisioError, OSError: See `ModelDirectory.prepare`.
        """
        return self._directories.enter_context(self._prepare(url, dir, **options))

    def close(self) -> None:
        """Close the folders that were prepared, the last one first; all of them if one fails."""
        self._directories.close()

    def __enter__(self) -> ModelConnector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
