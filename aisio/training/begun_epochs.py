"""BegunEpochs: counts the epochs that each worker has begun, also where workers live for one."""

from __future__ import annotations

import os
from multiprocessing.context import get_spawning_popen
from typing import Any

from aisio.anonymous_file import AnonymousFile
from aisio.extras import missing_extra
from aisio.training.whole_number import whole_number

try:
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["BegunEpochs"]

_BYTES = 8


class BegunEpochs:
    """Numbers the iterations of a dataset, for each of the workers that share it.

    A DataLoader gives its workers a copy of the dataset, and by default new workers in each epoch.
    So the numbers are in a file without a name, which all of them have, by fork or spawn. A process
    that is no worker and was given the dataset, such as a rank, counts for itself and its workers.

    Args:
        epoch: Number of the first epoch, from 0.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._start_at(epoch)

    def _start_at(self, epoch: int) -> None:
        self._file, self._owner = AnonymousFile(), os.getpid()
        self._write(0, whole_number("epoch", epoch, 0))

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is not None:
            return self.__dict__
        return {"epoch": self._first()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_file" in state:
            self.__dict__.update(state)
        else:
            self._start_at(state["epoch"])

    def set(self, epoch: int) -> None:
        """Have the next iteration of each worker be of this epoch.

        Raises:
            ConfigError: It is no whole number from 0 on.
        """
        number = whole_number("epoch", epoch, 0)
        if self._owner != os.getpid():
            self._start_at(number)
            return
        os.ftruncate(self._file.descriptor, 0)
        self._write(0, number)

    def begin(self, worker: int) -> int:
        """Count an iteration, and return the number of its epoch.

        Args:
            worker: Number of the worker among those of all ranks.
        """
        if self._owner != os.getpid() and get_worker_info() is None:
            self._start_at(self._first())
        begun = self._read(1 + worker)
        self._write(1 + worker, begun + 1)
        return self._first() + begun

    def go_on_from(self, worker: int, epoch: int) -> None:
        """Have the iteration of a worker that was just begun be of another epoch."""
        self._write(1 + worker, epoch + 1 - self._first())

    def _first(self) -> int:
        return self._read(0)

    def _read(self, place: int) -> int:
        data = os.pread(self._file.descriptor, _BYTES, place * _BYTES)
        return int.from_bytes(data, "little", signed=True)

    def _write(self, place: int, number: int) -> None:
        self._file.write(number.to_bytes(_BYTES, "little", signed=True), place * _BYTES)
