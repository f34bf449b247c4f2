"""Which shards were skipped: noted by any worker of a reader, read by whoever has the reader."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
import weakref
from pathlib import Path

import msgspec

__all__ = ["Quarantine", "SkippedShard"]


class SkippedShard(msgspec.Struct, frozen=True):
    """A shard that was given up, or its rest.

    Attributes:
        url: The shard's URL.
        offset: Byte of the shard (of a compressed one: unpacked) where the trouble was met; None
            where it is not in one place: no such shard, fewer bytes, a wrong checksum.
        cause: What was wrong, as the error says it.
        samples_given: So many of its samples were handed out before. After a wrong checksum these
            are suspect: nobody knows which bytes differ.
        samples_lost: So many were not; None where the shard could not be read on to count them.
    """

    url: str
    offset: int | None
    cause: str
    samples_given: int
    samples_lost: int | None = None


class Quarantine:
    """An append-only list that processes share: lines of JSON in a temporary file.

    The file comes with the first entry, which any copy of the list may write: one that a forked
    worker inherited as well as one that a spawned worker unpickled. It goes with the list that was
    made first.
    """

    def __init__(self) -> None:
        self._own()

    def _own(self) -> None:
        self._pid = os.getpid()
        self._path = Path(tempfile.gettempdir(), f"aisio-quarantine-{uuid.uuid4().hex}.jsonl")
        weakref.finalize(self, _remove, self._path, self._pid)

    def part(self) -> None:
        """Go on as a list of this process's own, unless it already is one."""
        if self._pid != os.getpid():
            self._own()

    def add(self, entry: SkippedShard) -> None:
        """Note a shard."""
        # Not msgspec: names of local files may hold bytes that are no UTF-8, as lone surrogates.
        line = json.dumps(msgspec.structs.asdict(entry)).encode() + b"\n"
        # One write in append mode: lines of several workers do not mix. O_NOFOLLOW: in a folder
        # that is everybody's, the name could have been taken by a link.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def entries(self) -> tuple[SkippedShard, ...]:
        """Return all that was noted so far, in that order."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        return tuple(SkippedShard(**json.loads(line)) for line in lines)


def _remove(path: Path, owner_pid: int) -> None:
    if os.getpid() == owner_pid:
        path.unlink(missing_ok=True)
