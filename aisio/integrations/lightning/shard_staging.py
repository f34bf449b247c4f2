"""ShardStaging: shards are written to a folder of this machine first, and then published.

For a folder of this machine that is a folder in it, so that a shard is moved, not copied; else one
in TMPDIR. It is removed with the process, however that ends.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import ConfigError, StorageError
from aisio.formats.tar_write import END_OF_ARCHIVE, header, padding
from aisio.integrations.lightning.folder_lock import folder_lock
from aisio.integrations.lightning.shard_folder import ShardFolder
from aisio.integrations.lightning.shard_set import ShardSet
from aisio.temporary_folders import make_owned_folder, remove_owned_folder

__all__ = ["ShardStaging"]

_MODE = 0o777
MAX_SHARD_BYTES = 3_000_000_000
"""A shard that has as many bytes of payload gets no further sample, as webdataset's ShardWriter."""


class ShardStaging:
    """A set of shards that is being written; use it in a `with` statement.

    Args:
        folder: Where the shards are published.
        prefix: What their names begin with.
        samples: Samples in each shard but the last.
        max_bytes: A shard of this many bytes of payload is complete, too.

    Raises:
        ConfigError: It is no folder that can be written to.
    """

    def __init__(
        self, folder: ShardFolder, prefix: str, *, samples: int, max_bytes: int = MAX_SHARD_BYTES
    ) -> None:
        self._target = folder.files
        self._local = Path("/", folder.files.url.name) if folder.is_local else None
        self._prefix = prefix
        self._max = samples, max_bytes
        self._staged: dict[str, Path] = {}
        self._count = self._size_bytes = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> ShardStaging:
        """Make the folder for the files.

        Raises:
            OSError: It cannot be made.
        """
        if self._local:
            self._local.mkdir(parents=True, exist_ok=True)
        # A file system of several machines may not have locks that hold among them. So a machine
        # removes only what its own dead processes left.
        parent = str(self._local) if self._local else None
        self._owned = make_owned_folder(f"shards-{platform.node()}", parent=parent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with suppress(OSError):  # the disk may be full
                self._file.close()
        remove_owned_folder(*self._owned)

    def write(self, key: str, fields: Mapping[str, bytes | bytearray | memoryview]) -> None:
        """Write a sample: a member `{key}.{field}` for each field.

        Raises:
            ConfigError: No tar archive can hold a member.
            StorageError: The file cannot be written.
        """
        samples, max_bytes = self._max
        if self._count >= samples or self._size_bytes >= max_bytes:
            self._end_shard()
        try:
            file = self._file or self._begin_shard()
            for name in sorted(fields):
                data = memoryview(fields[name]).cast("B")
                file.write(header(f"{key}.{name}", len(data), mode=_MODE))
                file.write(data)
                file.write(padding(len(data)))
                self._size_bytes += len(data)
        except OSError as error:
            raise self._failed(error) from error
        self._count += 1

    def publish(self) -> None:
        """Replace the shards of the folder by those that were written.

        Raises:
            ConfigError: No sample was written.
            StorageError: As `ShardSet.replace`.
        """
        self._end_shard()
        if not self._staged:
            raise ConfigError(f"{self._target.url}: no sample was written")
        target = self._target
        shards = ShardSet(target.store, target.url, self._prefix)
        with folder_lock(self._local) if self._local else nullcontext():
            shards.replace(self._staged, Path(self._owned[0]))

    def _begin_shard(self) -> BinaryIO:
        name = f"{self._prefix}-{len(self._staged):06d}.tar"
        self._staged[name] = Path(self._owned[0], f"{name}{PARTIAL_SUFFIX}")
        self._file = self._staged[name].open("xb")
        return self._file

    def _end_shard(self) -> None:
        if self._file is None:
            return
        try:
            self._file.write(END_OF_ARCHIVE)
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error
        self._file = None
        self._count = self._size_bytes = 0

    def _failed(self, error: OSError) -> StorageError:
        where = "" if self._local else "; the environment variable TMPDIR chooses another folder"
        return StorageError(f"write shards to {self._owned[0]}: {error.strerror or error}{where}")
