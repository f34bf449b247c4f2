"""MemoryOptions: which files of a model go to shared memory, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aisio.errors import ConfigError
from aisio.limits import is_whole

__all__ = ["MemoryOptions"]


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """How the large files of a model are kept in memory.

    Attributes:
        from_bytes: Files of this size or more go to shared memory; smaller ones to the folder.
        max_bytes: The most bytes that the large files may have together; None for no limit but the
            machine's.
        folder: Where the memory is: a folder of a file system in memory. Docker limits its
            /dev/shm to 64 MiB, unless --shm-size or --ipc=host says otherwise.
        concurrency: How many files are read at once, each by up to four requests.

    Raises:
        ConfigError: A number is out of range.
    """

    from_bytes: int = 16 << 20
    max_bytes: int | None = None
    folder: str | os.PathLike[str] = "/dev/shm"  # noqa: S108 - see shm_overview(7)
    concurrency: int = 4

    def __post_init__(self) -> None:
        if not is_whole(self.from_bytes, 1) or not is_whole(self.concurrency, 1):
            raise ConfigError(f"{self}: from_bytes and concurrency must be whole numbers from 1 on")
        if self.max_bytes is not None and not is_whole(self.max_bytes):
            raise ConfigError(f"{self}: max_bytes must be a whole number, or None for no limit")
