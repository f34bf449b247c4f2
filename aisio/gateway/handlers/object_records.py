"""ObjectRecords: the checksum and version of objects, computed if they are not on record yet."""

from __future__ import annotations

import functools
import os

from aisio.gateway.handlers.single_flight import SingleFlight
from aisio.gateway.protocol.targets import BucketName
from aisio.gateway.storage.folder import Folder, OpenObject
from aisio.gateway.storage.records import FileState, Record

_INLINE_BYTES = 256 << 10
"""A file up to this size is read for its checksum in the event loop; larger ones in a thread."""

_THREADS = 2

_Key = tuple[BucketName, str, FileState]


class ObjectRecords:
    """Finds the records of open objects.

    A file that another program has put into the folder has no record. Its checksum is computed at
    the first request, once for all requests that wait for it.

    Args:
        folder: The served folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._hashing = SingleFlight[_Key, Record](_THREADS, "checksum")

    async def get(self, bucket: BucketName, name: str, opened: OpenObject) -> Record:
        """Return the record of an open object.

        Raises:
            Refusal: The file changed while its checksum was computed.
        """
        state = FileState.of(opened.status)
        record = self._folder.metadata.get(bucket, name, state)
        if record is not None:
            return record
        key = (bucket, name, state)
        if key not in self._hashing:
            # The caller may be cancelled and close its file: compute_checksum() has its own.
            handle = os.dup(opened.file.fileno())
            # The event loop must not wait where a thread holds the lock for long.
            if state.size_bytes <= _INLINE_BYTES and self._folder.lock.acquire(blocking=False):
                try:
                    return self._folder.compute_checksum(bucket, name, handle, state)
                finally:
                    self._folder.lock.release()
            work = functools.partial(self._folder.compute_checksum, bucket, name, handle, state)
            self._hashing.start(key, work)
        return await self._hashing.result(key)

    def close(self) -> None:
        """Wait for the threads to end."""
        self._hashing.close()
