"""A list that the processes of a job share: any of them adds to it, whoever has it reads it."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import uuid
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Ledger"]

_log = logging.getLogger(__name__)


class Ledger:
    """An append-only list of records: lines of JSON in a temporary file.

    The file comes with the first record, which any copy of the list may write: one that a forked
    worker inherited as well as one that a spawned worker unpickled. It goes with the list that was
    made first.

    Args:
        name: What is listed, for the file's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._own()

    def _own(self) -> None:
        self._pid = os.getpid()
        self._file = f"aisio-{self._name}-{uuid.uuid4().hex}.jsonl"
        weakref.finalize(self, _remove, self._file, self._pid)

    @property
    def owner_pid(self) -> int:
        """The process that removes the file."""
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
        # Not msgspec: names of local files may hold bytes that are no UTF-8, as lone surrogates.
        line = json.dumps(record).encode() + b"\n"
        # One write in append mode: lines of several workers do not mix. O_NOFOLLOW: in a folder
        # that is everybody's, the name could have been taken by a link.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(_path(self._file), flags, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def records(self) -> list[dict[str, Any]]:
        """Return all that was noted so far, in that order."""
        try:
            lines = _path(self._file).read_bytes().splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines]


def _path(file: str) -> Path:
    # Asked for when it is needed: a place without any temporary folder can read data all the same.
    return Path(tempfile.gettempdir(), file)


def _remove(file: str, owner_pid: int) -> None:
    if os.getpid() == owner_pid:
        with suppress(OSError):
            _path(file).unlink()
