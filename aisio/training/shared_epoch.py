"""SharedEpoch: the number of an epoch, which running workers see when it changes."""

from __future__ import annotations

import os
from multiprocessing.context import get_spawning_popen
from typing import Any

from aisio.anonymous_file import AnonymousFile
from aisio.training.whole_number import whole_number

__all__ = ["SharedEpoch"]

_BYTES = 8


class SharedEpoch:
    """The number of an epoch, which the workers of a process have too, by fork or spawn.

    The workers of a DataLoader with `persistent_workers=True` have a copy of the dataset, made
    before its first epoch. They would not know of a number that was set in the process that has the
    DataLoader. A process that sets a number itself has its own from then on, as do its workers: it
    may be a rank, which the process with the dataset has started. So do copies.

    Args:
        epoch: The number, from 0 on.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._file = AnonymousFile()
        self._owner = os.getpid()
        self.set(epoch)

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is not None:
            return {"_file": self._file, "_owner": self._owner}
        return {"epoch": self.get()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_file" in state:
            self.__dict__.update(state)
        else:
            self.__init__(state["epoch"])  # type: ignore[misc]

    def get(self) -> int:
        """Return the number."""
        return int.from_bytes(os.pread(self._file.descriptor, _BYTES, 0), "little")

    def set(self, epoch: int) -> None:
        """Set the number, for this process and its workers.

        Raises:
            ConfigError: It is no whole number from 0 on.
        """
        number = whole_number("epoch", epoch, 0)
        if self._owner != (process := os.getpid()):
            self._file, self._owner = AnonymousFile(), process
        self._file.write(number.to_bytes(_BYTES, "little"), 0)
