"""SharedLog: a list of records that several processes append to and read."""

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

    The process that made the list owns the folder, and removes it with the list. If that process is
    killed, the next process that makes such a list removes the folder. Every copy of the list adds
    to the same file: one that a forked worker inherited, and one that a spawned worker unpickled.
    What a copy adds after the folder has been removed is dropped.

    Args:
        name: What the records are about, for the folder's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._make_folder()

    def _make_folder(self) -> None:
        self._pid = os.getpid()
        self._folder: str | None = None
        # A machine that has no folder for temporary files can still read data.
        with suppress(OSError):
            self._folder, descriptor = make_owned_folder(self._name)
            # Not weakref.finalize: a worker of multiprocessing ends without atexit, but runs these.
            # The low priority lets its own children end first, which may still write.
            owned = (self._folder, descriptor)
            util.Finalize(self, remove_owned_folder, owned, exitpriority=-100)

    def __copy__(self) -> SharedLog:
        """Return an independent list; in a worker, one that adds to the same owner's list."""
        copy = SharedLog.__new__(SharedLog)
        copy.__dict__.update(self.__dict__)
        if self._pid == os.getpid():
            copy._make_folder()  # this list removes its own folder, even if a copy lives on
            for record in self.records():
                copy.add(record)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedLog:
        return self.__copy__()

    @property
    def owner_pid(self) -> int:
        """The process that removes the folder."""
        return self._pid

    def detach(self) -> None:
        """Make this process the owner, with an empty list, unless it already is the owner."""
        if self._pid != os.getpid():
            self._make_folder()

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record; if that fails, as on a full disk, log it as a warning."""
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
            return  # the owner has removed the folder
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def records(self) -> list[dict[str, Any]]:
        """Return all records, in the order in which they were added."""
        if self._folder is None:
            return []
        try:
            lines = Path(self._folder, _FILE).read_bytes().splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines]
