"""BegunEpochs: counts the epochs that each worker has begun, also where workers live for one."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from multiprocessing.context import get_spawning_popen
from struct import Struct
from typing import Any, NamedTuple

from aisio.anonymous_file import AnonymousFile
from aisio.extras import missing_extra
from aisio.training.whole_number import whole_number

try:
    from torch.utils.data import get_worker_info
except ImportError as error:
    raise missing_extra("torch", "torch") from error

__all__ = ["BegunEpochs"]

_RECORD = Struct("<qq")
_RECORDS_OF_PROCESS = 1 << 20  # what is not written takes no memory: the file has holes


class _Record(NamedTuple):
    """What the file has of a process, or of one of its workers.

    Attributes:
        times_set: How often `set` was called in the process; for a worker, before its count.
        number: Of the process the first epoch; of a worker, how many it has begun since.
    """

    times_set: int = 0
    number: int = 0


class BegunEpochs:
    """Numbers the iterations of a dataset, for each process that has it, and each of its workers.

    A DataLoader gives its workers a copy of the dataset, and by default new workers in each epoch.
    So the numbers are in a file without a name, which all of them have, by fork or spawn. Processes
    that were given the dataset, such as ranks, count for themselves, from the epoch of the process
    that made it.

    Args:
        epoch: Number of the first epoch, from 0.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._file, self._maker = AnonymousFile(), os.getpid()
        self.set(epoch)

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is not None:
            return self.__dict__
        return {"epoch": self._first().number}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_file" in state:
            self.__dict__.update(state)
        else:
            self.__init__(state["epoch"])  # type: ignore[misc]

    def set(self, epoch: int) -> None:
        """Have the next iteration of this process, and of each of its workers, be of this epoch.

        Raises:
            ConfigError: It is no whole number from 0 on.
        """
        number = whole_number("epoch", epoch, 0)
        process, _ = _place()
        self._write(process, 0, _Record(self._first().times_set + 1, number))

    def begin(self) -> int:
        """Count an iteration of this process, and return the number of its epoch."""
        first, begun = self._first(), self._begun()
        self._write(*_place(), _Record(first.times_set, begun + 1))
        return first.number + begun

    def continue_from(self, epoch: int) -> None:
        """Have the iteration of this process that was just begun be of another epoch."""
        first = self._first()
        self._write(*_place(), _Record(first.times_set, epoch + 1 - first.number))

    def _first(self) -> _Record:
        own = self._read(_place()[0], 0)
        return own if own.times_set else self._read(self._maker, 0)

    def _begun(self) -> int:
        times_set, begun = self._read(*_place())
        return begun if times_set == self._first().times_set else 0

    def _read(self, process: int, place: int) -> _Record:
        data = os.pread(self._file.descriptor, _RECORD.size, _offset(process, place))
        return _Record(*_RECORD.unpack(data)) if len(data) == _RECORD.size else _Record()

    def _write(self, process: int, place: int, record: _Record) -> None:
        self._file.write(_RECORD.pack(*record), _offset(process, place))


def _place() -> tuple[int, int]:
    """Return the process that trains, and which record of it is this process's.

    The first one is that of its epoch, the second that of iterations in the process itself.
    """
    worker, parent = get_worker_info(), parent_process()
    if worker is None:
        return os.getpid(), 1
    return (parent.pid if parent else None) or os.getpid(), 2 + worker.id


def _offset(process: int, place: int) -> int:
    return (process * _RECORDS_OF_PROCESS + place) * _RECORD.size
