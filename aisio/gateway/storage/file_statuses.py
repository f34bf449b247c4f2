"""The status of many files, one after the other: one call each while they are in one folder."""

# Paths are strings here, as in folder.py.

from __future__ import annotations

import os
import stat
from types import TracebackType

from aisio.gateway.storage.beneath import FOLDER, Beneath, LeadsOutError


class Statuses:
    """Looks files up for the time of a `with` block.

    Args:
        beneath: The served folder.
    """

    def __init__(self, beneath: Beneath) -> None:
        self._beneath = beneath
        self._folder = ""
        self._handle = -1

    def __enter__(self) -> Statuses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def of(self, path: str) -> os.stat_result | None:
        """Return the status of a file, links followed; None if it has gone meanwhile.

        Args:
            path: Counted from the served folder.
        """
        folder, _, name = path.rpartition("/")
        try:
            self._turn_to(folder)
            status = os.stat(name, dir_fd=self._handle, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return self._beneath.status(self._beneath.resolve(path))
        except (FileNotFoundError, NotADirectoryError, LeadsOutError):
            return None
        return status

    def _turn_to(self, folder: str) -> None:
        if self._handle < 0 or folder != self._folder:
            self._close()
            self._handle = self._beneath.open(folder, FOLDER).handle
            self._folder = folder

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
