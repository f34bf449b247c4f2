"""Log and audit files, one of each for every DataLoader worker.

The log file has what aisio logs. The audit file has a line for each request to OSS, from the logger
`aisio.requests`. A process that is no worker writes to the files of worker 0. Lines are appended
by one write each, so that processes that share a file do not mix them.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from pathlib import Path
from typing import NamedTuple
from weakref import finalize

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.forks import in_child
from aisio.integrations.oss.config_file import OssConfig

__all__ = ["LogFiles"]

_LOG, _AUDIT = "aisio", "aisio.requests"
_LOG_FORMAT = "%(asctime)s|%(levelname)s|%(process)d|%(name)s:%(message)s"
_AUDIT_FORMAT = "%(asctime)s|%(process)d|%(message)s"
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class _File(NamedTuple):
    """A file that a logger writes to.

    Attributes:
        logger: Name of the logger.
        path: The path, to which the worker's number is added.
        level: The least level that is written.
    """

    logger: str
    path: str
    level: int


class LogFiles:
    """Keeps the log and audit files of a configuration open for as long as it lives.

    It pickles: a spawned worker that receives it has files of its own. Several that name one file
    share it. While a logger has a file, its level is at least as low as that of the file; requests
    are then in the audit file alone.

    Args:
        config: What the configuration file says.

    Raises:
        ConfigError: A file cannot be written.
    """

    def __init__(self, config: OssConfig) -> None:
        files = (
            _File(_LOG, config.log_path, _LEVELS[config.log_level]),
            _File(_AUDIT, config.audit_path, logging.INFO),
        )
        self._files = tuple(
            file._replace(path=os.path.abspath(file.path))  # noqa: PTH100 - links stay links
            for file in files
            if file.path
        )
        self._open()

    def __getstate__(self) -> tuple[_File, ...]:
        return self._files

    def __setstate__(self, state: tuple[_File, ...]) -> None:
        self._files = state
        self._open()

    def _open(self) -> None:
        for file in self._files:
            _acquire(file)
            # At exit, somebody may still log.
            finalize(self, _release, file).atexit = False


class _WorkerFileHandler(logging.Handler):
    """Appends lines to the file of the worker that it runs in.

    Args:
        file: The file.

    Raises:
        ConfigError: It cannot be written.
    """

    def __init__(self, file: _File) -> None:
        super().__init__(file.level)
        self._path = file.path
        self._descriptor = -1
        self._owner = (0, 0)
        is_audit = file.logger == _AUDIT
        self.setFormatter(logging.Formatter(_AUDIT_FORMAT if is_audit else _LOG_FORMAT))
        try:
            Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            self._opened()
        except OSError as error:
            raise ConfigError(
                f"{'auditPath' if is_audit else 'logPath'} {one_line(self._path)} of the OSS"
                f" configuration file cannot be written: {error.strerror}"
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            os.write(self._opened(), line)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            self._close_file()
        finally:
            self.release()
        super().close()

    def _opened(self) -> int:
        owner = (os.getpid(), _worker_id())
        if owner != self._owner:
            self._close_file()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(f"{self._path}_{owner[1]}", flags, 0o644)
            self._owner = owner
        return self._descriptor

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._owner = -1, (0, 0)


class _Shared:
    """A handler that several `LogFiles` share."""

    def __init__(self, handler: _WorkerFileHandler) -> None:
        self.handler = handler
        self.users = 0


_shared_by_file: dict[_File, _Shared] = {}
_usual_levels: dict[str, tuple[int, int]] = {}
"""Level of a logger before it had files: its own, and the one that counted."""


_dropped: deque[_File] = deque()
"""Files of `LogFiles` that are gone, each as often as it was used there."""

_lock = threading.Lock()


@in_child
def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


def _acquire(file: _File) -> None:
    with _lock:
        if file not in _shared_by_file:
            handler = _WorkerFileHandler(file)
            _shared_by_file[file] = _Shared(handler)
            logging.getLogger(file.logger).addHandler(handler)
            _set_level(file.logger)
        _shared_by_file[file].users += 1
    _close_dropped()


def _release(file: _File) -> None:
    _dropped.append(file)
    _close_dropped()


def _close_dropped() -> None:
    """Close the files that nobody uses any more; leave it to the thread that has the lock.

    The garbage collector may call this anywhere, also in a thread that writes to a file and so has
    the lock of its handler: to wait here for one who waits for that would have no end.
    """
    while _dropped and _lock.acquire(blocking=False):
        try:
            while _dropped:
                _close_unused(_dropped.popleft())
        finally:
            _lock.release()


def _close_unused(file: _File) -> None:
    shared = _shared_by_file[file]
    shared.users -= 1
    if not shared.users:
        del _shared_by_file[file]
        logging.getLogger(file.logger).removeHandler(shared.handler)
        shared.handler.close()
        _set_level(file.logger)


def _set_level(name: str) -> None:
    """Have a logger pass on what its files need; without files, what it did before."""
    logger = logging.getLogger(name)
    levels = [file.level for file in _shared_by_file if file.logger == name]
    if levels:
        usual = _usual_levels.setdefault(name, (logger.level, logger.getEffectiveLevel()))
        logger.setLevel(min(*levels, usual[1]))
    else:
        logger.setLevel(_usual_levels.pop(name)[0])
    if name == _AUDIT:
        logger.propagate = not levels


def _worker_id() -> int:
    """Return the number of this DataLoader worker; 0 where torch is not loaded, or in no worker."""
    torch_data = sys.modules.get("torch.utils.data")
    get_worker_info = getattr(torch_data, "get_worker_info", None)
    worker = get_worker_info() if get_worker_info is not None else None
    return worker.id if worker is not None else 0
