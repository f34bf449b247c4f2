"""FileSystem: any store as the file system that torch's own DCP classes work with."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from aisio.checkpoint.dcp.place import can_be_checkpoint, parse_checkpoint_id
from aisio.checkpoint.streams import Checkpoint
from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError, NotFoundError
from aisio.extras import missing_extra
from aisio.stores import DirectSettings, Store, store_for
from aisio.transport.writer import CONCURRENCY, PART_BYTES

try:
    from torch.distributed.checkpoint.filesystem import FileSystemBase
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["FileSystem"]

_COPY_BYTES = 4 * 1024 * 1024


class FileSystem(FileSystemBase):
    """Files of any store by their URLs, as torch's FileSystemWriter and FileSystemReader use them.

        reader = dcp.FileSystemReader("ais://models/run/100")
        reader.fs = FileSystem()

    StorageWriter and StorageReader need none. It is for code that is built on torch's classes. It
    holds settings, not connections, and pickles.

    Args:
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.
        part_bytes: How many bytes a request carries.
        concurrency: How many requests are sent at once for each file.
    """

    def __init__(
        self,
        *,
        client: Client | None = None,
        endpoint: str | None = None,
        direct: bool | DirectSettings = False,
        part_bytes: int = PART_BYTES,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._client = explicit_client(client, endpoint)
        self._direct = direct
        self._streams = Checkpoint(
            client=self._client, direct=direct, part_bytes=part_bytes, concurrency=concurrency
        )

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[io.IOBase]:
        """Open a file; one that is written is stored when the block ends, unless it raises.

        Args:
            path: Its URL.
            mode: "rb" or "wb".

        Raises:
            NotFoundError: There is no such file.
            ConfigError: Another mode.
        """
        url = _text(path)
        if mode == "rb":
            with self._streams.reader(url) as file:
                yield cast(io.IOBase, file)
        elif mode == "wb":
            with self._streams.writer(url, allow_empty=True) as written:
                yield written
        else:
            raise ConfigError(f"{mode=}: files of a checkpoint are opened by 'rb' or 'wb'")

    def concat_path(self, path: str | os.PathLike[str], suffix: str) -> str:
        """Return the URL of a name below another one."""
        return str(parse_checkpoint_id(path).join(suffix))

    def init_path(self, path: str | os.PathLike[str]) -> str:
        """Return the URL that a checkpoint's files lie below.

        Raises:
            UrlError: It is not valid.
        """
        return _text(path)

    def mkdir(self, path: str | os.PathLike[str]) -> None:
        """Do nothing: stores have no folders, and local ones are made with their files."""

    def exists(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether there is a file."""
        url = parse_checkpoint_id(path)
        try:
            self._store(path).head(url)
        except NotFoundError:
            return False
        return True

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        """Copy a file to another URL, which appears whole, then remove the first.

        Raises:
            NotFoundError: There is no such file.
        """
        if _text(path) == _text(new_path):
            return
        with (
            self._streams.reader(_text(path)) as file,
            self._streams.writer(_text(new_path), allow_empty=True) as written,
        ):
            shutil.copyfileobj(file, cast(Any, written), _COPY_BYTES)
        self.rm_file(path)

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        """Remove a file.

        Raises:
            NotFoundError: There is no such file.
        """
        self._store(path).delete(parse_checkpoint_id(path))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Tell whether a checkpoint may be at a URL or path."""
        return can_be_checkpoint(checkpoint_id)

    def _store(self, path: str | os.PathLike[str]) -> Store:
        return store_for(parse_checkpoint_id(path), self._client, direct=self._direct)


def _text(path: str | os.PathLike[str]) -> str:
    return str(parse_checkpoint_id(path))
