"""ModelLoader: reads the files of a model, small ones to a folder and large ones to shared memory.

One process of the machine reads at a time. Whoever waits for it takes what it has read, and reads
the rest if it fails or is killed.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from aisio.errors import ConfigError, IntegrityError, StorageError
from aisio.formats.safetensors import LENGTH_BYTES, SUFFIX, check_data_bytes, header_bytes
from aisio.models.files import ModelFile
from aisio.models.folder import ModelFolder
from aisio.models.memory_budget import room_in
from aisio.models.memory_folder import MemoryFolder
from aisio.models.options import MemoryOptions
from aisio.records import ObjectInfo
from aisio.stores import Store
from aisio.transport.body import Body, read_with_retries
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.parallel import read_into
from aisio.transport.retries import RETRYABLE, Attempts, on_failed_try
from aisio.transport.targets import FileTarget
from aisio.transport.worker_threads import WorkerThreads

__all__ = ["LoadStoppedError", "ModelLoader", "check_limit", "check_version", "write_small_files"]

_POLL_INTERVAL_S = 0.05
_LOG_AFTER_POLLS = 20
_DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM})
_log = logging.getLogger("aisio.models")


class LoadStoppedError(StorageError):
    """The model's folder was closed while its files were read."""


class ModelLoader:
    """Reads the large files of a model into a memory folder.

    Args:
        url: Where the model is, for messages.
        store: Has the files.
        files: The large ones.
        memory: Where they go.
        options: Limits.
        on_complete: Called with each file once it is complete, by any thread, maybe more than once.
    """

    def __init__(
        self,
        url: str,
        store: Store,
        files: Sequence[ModelFile],
        memory: MemoryFolder,
        options: MemoryOptions,
        on_complete: Callable[[ModelFile], None],
    ) -> None:
        self._url = url
        self._store = store
        self._files = files
        self._memory = memory
        self._options = options
        self._on_complete = on_complete

    def load(self, stop: threading.Event, lock: int | None = None) -> None:
        """Read the files that are missing, after another process has read those that it reads.

        Args:
            stop: Set, it ends the call.
            lock: The lock of the memory folder, if the caller has it already.

        Raises:
            LoadStoppedError: `stop` was set.
            ConfigError: The files do not fit into memory.
            NotFoundError, IntegrityError, CheckpointError, ...: A file cannot be read; those that
                were stay.
        """
        lock = self._wait_for_lock(stop) if lock is None else lock
        try:
            missing = [one for one in self._files if not self._is_complete(one)]
            self.check_room(missing)
            self.report_complete()
            self._load_all(missing, stop)
        finally:
            self._memory.unlock(lock)

    def lock_and_check_room(self) -> int | None:
        """Lock the memory folder, and check that all missing files fit.

        Returns:
            The lock, for `load`; None if another process has it, which has checked that.

        Raises:
            ConfigError: They do not fit.
        """
        lock = self._memory.try_lock()
        if lock is not None:
            try:
                self.check_room([one for one in self._files if not self._is_complete(one)])
            except BaseException:
                self._memory.unlock(lock)
                raise
        return lock

    def unlock(self, lock: int | None) -> None:
        """Release the lock of the memory folder, if the caller has it."""
        if lock is not None:
            self._memory.unlock(lock)

    def check_room(self, files: Sequence[ModelFile]) -> None:
        """Check that files fit into memory.

        Raises:
            ConfigError: They do not.
        """
        needed = sum(one.size_bytes for one in files)
        room = room_in(self._memory.path)
        if needed > room.free_bytes:
            raise ConfigError(
                f"{self._url}: its large files have {needed:,} bytes, but {room.free_bytes:,} are "
                f"{room.limit}: leave files out by ignore_patterns=, or name another place by "
                f"memory=MemoryOptions(folder=...); Docker has --shm-size"
            )

    def _is_complete(self, file: ModelFile) -> bool:
        return self._memory.path_of(file.memory_name).exists()

    def report_complete(self) -> None:
        """Call `on_complete` with the files that are there."""
        for file in self._files:
            if self._is_complete(file):
                self._on_complete(file)

    def _wait_for_lock(self, stop: threading.Event) -> int:
        polls = 0
        while (lock := self._memory.try_lock()) is None:
            if stop.wait(_POLL_INTERVAL_S):
                raise LoadStoppedError(f"{self._url}: closed while its files were read")
            self.report_complete()
            polls += 1
            if polls == _LOG_AFTER_POLLS:
                _log.info("%s: another process reads its files; waiting for it", self._url)
        return lock

    def _load_all(self, missing: Sequence[ModelFile], stop: threading.Event) -> None:
        threads = WorkerThreads(self._options.concurrency, "aisio-model")
        failed = threading.Event()
        try:
            futures = [threads.submit(partial(self._load, file, stop, failed)) for file in missing]
            errors = [error for one in futures if (error := one.exception()) is not None]
        except BaseException:
            failed.set()
            raise
        finally:
            threads.end(cancel=True)
        if errors:
            # One file failed; the others were stopped for that.
            raise min(errors, key=lambda error: isinstance(error, LoadStoppedError))

    def _load(self, file: ModelFile, stop: threading.Event, failed: threading.Event) -> None:
        def check(_: int) -> None:
            if stop.is_set() or failed.is_set():
                raise LoadStoppedError(f"{self._url}: closed while its files were read")

        check(0)
        try:
            with _memory_errors(file):
                self._memory.write(file.memory_name, partial(self._fill, file, check))
        except BaseException:
            failed.set()
            raise
        self._on_complete(file)

    def _fill(self, file: ModelFile, check: Callable[[int], None], descriptor: int) -> None:
        def read(body: Body) -> int:
            check_version(self._store, file, body.info)
            return read_into(body, FileTarget(descriptor), show=check)

        def check_before_next_try(error: StorageError) -> None:
            if isinstance(error, RETRYABLE):
                check(0)

        attempts = Attempts(self._store.retry_policy)
        with on_failed_try(check_before_next_try):
            size = read_with_retries(partial(self._store.get, file.url), read, attempts)
        _check_size(file, size)
        _check_header(file, partial(os.pread, descriptor))


def check_limit(url: str, files: Sequence[ModelFile], options: MemoryOptions) -> None:
    """Check that large files stay below the limit that the caller has set.

    Raises:
        ConfigError: They do not.
    """
    needed = sum(one.size_bytes for one in files)
    if options.max_bytes is not None and needed > options.max_bytes:
        raise ConfigError(
            f"{url}: its large files have {needed:,} bytes, more than max_bytes="
            f"{options.max_bytes:,}: leave some out by ignore_patterns="
        )


def write_small_files(store: Store, files: Sequence[ModelFile], folder: ModelFolder) -> None:
    """Read small files, several at once, into a folder.

    Raises:
        NotFoundError, IntegrityError, CheckpointError, ...: A file cannot be read.
        OSError: One cannot be written.
    """

    def fetch(file: ModelFile) -> bytes:
        info, data = store.read_with_info(file.url)
        check_version(store, file, info)
        _check_size(file, len(data))
        _check_header(file, lambda size, start: data[start : start + size])
        return data

    bodies = fetch_in_order(files, fetch, size_of=lambda file: file.size_bytes, result_bytes=len)
    for file, data in zip(files, bodies, strict=True):
        folder.write(file.name, data)


def check_version(store: Store, file: ModelFile, info: ObjectInfo) -> None:
    """Check that a response is of the version that was listed.

    Raises:
        IntegrityError: The object was replaced.
    """
    if not store.is_same(file.url, file.info, info):
        raise IntegrityError(
            f"GET {file.url}: the object was replaced after it was listed; prepare the model again",
            url=str(file.url),
        )


def _check_size(file: ModelFile, size: int) -> None:
    if size != file.size_bytes:
        raise IntegrityError(
            f"GET {file.url}: {size:,} bytes came, {file.size_bytes:,} were listed",
            url=str(file.url),
        )


def _check_header(file: ModelFile, read: Callable[[int, int], bytes]) -> None:
    """Check that a safetensors file has the bytes that its header announces."""
    if file.name.endswith(SUFFIX):
        url = str(file.url)
        length = header_bytes(read(LENGTH_BYTES, 0), file.size_bytes, url)
        text = read(length, LENGTH_BYTES)
        check_data_bytes(text, file.size_bytes - LENGTH_BYTES - length, url)


@contextmanager
def _memory_errors(file: ModelFile) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno not in _DISK_FULL_ERRNOS:
            raise
        raise ConfigError(
            f"{file.url}: its {file.size_bytes:,} bytes do not fit into memory any more: "
            f"{error.strerror}; another program has taken what was free"
        ) from error
