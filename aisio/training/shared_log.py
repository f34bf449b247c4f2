"""A list that the processes of a job share: any of them adds to it, whoever has it reads it."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from typing import Any

from aisio.temporary_folders import make_owned_folder, remove_owned_folder

__all__ = ["SharedLog"]

_FILE = "records.jsonl"
_log = logging.getLogger(__name__)


class SharedLog:
    """An append-only list of records: lines of JSON in a file, in a temporary folder of its own.

    The folder comes and goes with the list that was made first; where its process is killed, the
    next one removes it. The file comes with the first
    record, which any copy of the list may write: one that a forked worker inherited as well as one
    that a spawned worker unpickled. Who writes when the folder has gone writes for nobody, and
    leaves nothing behind.

    Args:
        name: What is listed, for the folder's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._own()

    def _own(self) -> None:
        self._pid = os.getpid()
        self._folder: str | None = None
        # A place without any temporary folder can read data all the same.
        with suppress(OSError):
            self._folder, descriptor = make_owned_folder(self._name)
            # Not weakref's: a worker of multiprocessing ends without atexit, but not without these.
            # After its children have ended, which may still write.
            owned = (self._folder, descriptor)
            util.Finalize(self, remove_owned_folder, owned, exitpriority=-100)

    def __copy__(self) -> SharedLog:
        """Return a list that goes on alone, or, in a worker, for the same owner as this one."""
        copy = SharedLog.__new__(SharedLog)
        copy.__dict__.update(self.__dict__)
        if self._pid == os.getpid():
            copy._own()  # the folder goes with its first owner, however long a copy lives
            for record in self.records():
                copy.add(record)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedLog:
        return self.__copy__()

    @property
    def owner_pid(self) -> int:
        """The process that removes the folder."""
        return self._pid

    def part(self) -> None:
        """Go on as a list of this process's own, unless it already is one."""
        if self._pid != os.getpid():
            self._own()

    def add(self, record: Mapping[str, Any]) -> None:
        """Note a record; where that cannot be done, as on a full disk, a warning is logged."""
        try:
            self._append(record)
        except OSError as error:
            _log.warning("%s not noted (%s): %s", self._name, error.strerror or error, record)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._folder is None:
            raise FileNotFoundError(errno.ENOENT, "there was no temporary folder")
        # Not msgspec: names of local files may hold bytes that are no UTF-8, as lone surrogates.
        line = json.dumps(record).encode() + b"\n"
        # One write in append mode: lines of several workers do not mix.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(Path(self._folder, _FILE), flags, 0o600)
        except FileNotFoundError:
            return  # the list has gone
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def records(self) -> list[dict[str, Any]]:
        """Return all records so far, in that order."""
        if self._folder is None:
            return []
        try:
            lines = Path(self._folder, _FILE).read_bytes().splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines]
