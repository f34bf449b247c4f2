"""Uploaders and downloaders with anylearn's names: a resource's file in chunks.

By default `quick_train` needs none of them: it uploads the files of a folder that the store does
not have. Give an uploader to see, or to do yourself, how an archive goes up chunk by chunk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import overload

from aisio.errors import ConfigError, StorageError
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.resources.upload import OnProgress
from aisio.tasks.service.service import TaskService, current_service

__all__ = [
    "CHUNK_BYTES",
    "AsyncResourceDownloader",
    "AsyncResourceUploader",
    "FileChunks",
    "ResourceDownloader",
    "ResourceUploader",
    "SyncResourceDownloader",
    "SyncResourceUploader",
]

CHUNK_BYTES = 2_048_000
"""Source: the size of a chunk that anylearn 0.15.5 sends."""

_THREADS = 4


class FileChunks(Sequence[bytes]):
    """The chunks of a file; each is read when it is asked for. The last one is never empty.

    Args:
        path: The file.
        chunk_size: Their size in bytes; the last one may be shorter.

    Raises:
        ConfigError: There is no such file, or it is empty.
    """

    def __init__(self, path: str | Path, chunk_size: int = CHUNK_BYTES) -> None:
        self.path = Path(path)
        if chunk_size < 1:
            raise InvalidArguments(f"chunk_size={chunk_size} must be at least 1")
        if not self.path.is_file():
            raise ConfigError(f"{path} is not an existing file")
        self.chunk_size = chunk_size
        self.size = self.path.stat().st_size
        if not self.size:
            raise ConfigError(f"{path} is empty: there is nothing to upload")

    def __len__(self) -> int:
        return -(-self.size // self.chunk_size)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        offset = number * self.chunk_size
        with self.path.open("rb") as file:
            file.seek(offset)
            data = file.read(self.chunk_size)
        if len(data) != min(self.chunk_size, self.size - offset):
            raise StorageError(f"{self.path} changed while it was uploaded: run this again")
        return data


class ResourceUploader(ABC):
    """Uploads the chunks of a resource's file; derive from it to do that in another way.

    Attributes:
        service: Where to; without it that of `init_sdk`.
    """

    service: TaskService | None = None

    @abstractmethod
    def run(self, resource_id: str, chunks: Sequence[bytes]) -> bool | None:
        """Upload all chunks.

        Args:
            resource_id: The resource.
            chunks: Its file.

        Returns:
            False if that has failed; None counts as success.
        """

    def send(self, resource_id: str, number: int, chunk: bytes) -> None:
        """Hand one chunk to the service; the numbers begin with 0, in any order."""
        service = self.service or current_service()
        service.resources.write_chunk(resource_id, number, chunk)


class SyncResourceUploader(ResourceUploader):
    """Uploads one chunk after the other.

    Args:
        on_start: Called with the number of chunks.
        on_progress: Called with the number of chunks that are done, and that of all.
    """

    _threads = 1

    def __init__(
        self,
        on_start: Callable[[int], object] | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self._on_start = on_start
        self._on_progress = on_progress

    def run(self, resource_id: str, chunks: Sequence[bytes]) -> bool:
        """See `ResourceUploader.run`; the first failure is raised."""
        if self._on_start:
            self._on_start(len(chunks))
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="aisio-chunks")

        def send(number: int) -> None:
            self.send(resource_id, number, chunks[number])

        try:
            for done, _ in enumerate(pool.map(send, range(len(chunks))), 1):
                if self._on_progress:
                    self._on_progress(done, len(chunks))
        finally:
            pool.shutdown(cancel_futures=True)
        return True


class AsyncResourceUploader(SyncResourceUploader):
    """Uploads several chunks at a time."""

    _threads = _THREADS


class ResourceDownloader(ABC):
    """Downloads the files of a resource.

    Attributes:
        service: Where from; without it that of `init_sdk`.
    """

    service: TaskService | None = None

    @abstractmethod
    def run(self, resource_id: str, save_path: str | Path, polling: float = 5) -> str:
        """Download a resource.

        Args:
            resource_id: The resource.
            save_path: An existing folder.
            polling: Kept for programs that were written for anylearn: nothing is polled here.

        Returns:
            The path of what was written.
        """


class SyncResourceDownloader(ResourceDownloader):
    """Writes the one file of a resource, or a zip of all its files, each piece verified.

    Args:
        on_progress: Called with the bytes that are done, and those of all files.
    """

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self._on_progress = on_progress

    def run(self, resource_id: str, save_path: str | Path, polling: float = 5) -> str:
        """See `ResourceDownloader.run`.

        Raises:
            ConfigError: `save_path` is not an existing folder.
            StorageError: The store has not all of it.
        """
        folder = Path(save_path)
        if not folder.is_dir():
            raise ConfigError(f"save_path {save_path!s} is not an existing folder")
        service = self.service or current_service()
        return str(service.resources.download_archive(resource_id, folder, self._on_progress))


class AsyncResourceDownloader(SyncResourceDownloader):
    """The same: reads overlap in both."""
