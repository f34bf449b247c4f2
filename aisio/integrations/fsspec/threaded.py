"""ThreadedFileSystem: a file system of fsspec whose calls block, each in a thread."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from fsspec.asyn import AsyncFileSystem, get_loop, reset_lock

from aisio.errors import ConfigError
from aisio.forks import in_child, this_process

__all__ = ["ThreadedFileSystem"]

T = TypeVar("T")

_OPTIONS = {
    "asynchronous",
    "batch_size",
    "listings_expiry_time",
    "loop",
    "max_paths",
    "skip_instance_cache",
    "use_listings_cache",
}
"""Source: fsspec 2026.9, AsyncFileSystem, AbstractFileSystem and DirCache."""

_ADDRESSES = {"client_kwargs", "endpoint_url", "host"}
"""Options by which other file systems, such as s3fs, are told where to go."""


class ThreadedFileSystem(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Runs blocking calls in threads; after a fork in new ones, with a new event loop.

    Args:
        concurrency: Maximum number of threads.
        options: fsspec's own.

    Raises:
        ConfigError: An option is not fsspec's: it may be misspelt.
    """

    def __init__(self, concurrency: int, **options: Any) -> None:
        if unknown := sorted(options.keys() - _OPTIONS):
            hint = "; the address of the cluster is endpoint=" if _ADDRESSES & {*unknown} else ""
            raise ConfigError(
                f"{', '.join(unknown)}: no options of {type(self).__name__}, nor of fsspec{hint}"
            )
        super().__init__(**options)
        self._concurrency = concurrency
        self._threads: ThreadPoolExecutor | None = None
        self._process = this_process()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of fsspec in this process."""
        self._renew_after_fork()
        return cast("asyncio.AbstractEventLoop", self._loop)

    def _renew_after_fork(self) -> None:
        if not self._process.is_current:
            self._process, self._threads, self._pid = this_process(), None, os.getpid()
            self._loop = None if self.asynchronous else get_loop()

    async def _run(self, call: Callable[..., T], *args: Any, **options: Any) -> T:
        """Run a call in a thread."""
        self._renew_after_fork()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._concurrency, "aisio-fsspec")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *args, **options))


@in_child
def _forget_event_loop() -> None:
    """Have fsspec make an event loop: before 2025.5 a child waits for that of its parent."""
    reset_lock()
