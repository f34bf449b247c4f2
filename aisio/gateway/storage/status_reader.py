"""The status of many files, one after the other: one call each while they are in one folder."""

# Paths are strings here, as in folder.py.

from __future__ import annotations

import os
import stat
from types import TracebackType

from aisio.gateway.storage.safe_opener import FOLDER_FLAGS, PathEscapesError, SafeOpener


class StatusReader:
    """Reads the status of files within a `with` block; keeps the folder of the last one open.

    Args:
        opener: Opens paths of the served folder.
    """

    def __init__(self, opener: SafeOpener) -> None:
        self._opener = opener
        self._folder = ""
        self._folder_fd = -1

    def __enter__(self) -> StatusReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def read(self, path: str) -> os.stat_result | None:
        """Return the status of a file, links followed; None if it no longer exists.

        Args:
            path: Counted from the served folder.
        """
        folder, _, name = path.rpartition("/")
        try:
            self._open(folder)
            status = os.stat(name, dir_fd=self._folder_fd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return self._opener.status(self._opener.resolve(path))
        except (FileNotFoundError, NotADirectoryError, PathEscapesError):
            return None
        return status

    def _open(self, folder: str) -> None:
        if self._folder_fd < 0 or folder != self._folder:
            self._close()
            self._folder_fd = self._opener.open(folder, FOLDER_FLAGS).fd
            self._folder = folder

    def _close(self) -> None:
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1
