"""Copier: copies one object or file, verified, from any store to any other.

to a local file         the bytes replace the file once all have arrived and are right
from a local file       the store compares what it received; a file that changes meanwhile is
not stored
inside one cluster      by the cluster; size and checksum of the two are compared. A move goes on
                        through this process where the two have different kinds of checksum, or
                        the source was replaced meanwhile
from store to store     through this process: read and verified, then stored and verified
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import BinaryIO, cast

from msgspec.structs import replace

from aisio.errors import AisioError, IntegrityError, TruncatedError
from aisio.records import ObjectInfo
from aisio.sources.base import url_of
from aisio.stores import AisStore, LocalStore, Store
from aisio.stores.local import info_of_file
from aisio.transfer.jobs import Action, Copy, Outcome
from aisio.transfer.local_folder import AbandonedError, LocalFolder
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.transport.parallel import read_into
from aisio.transport.targets import FileTarget
from aisio.transport.writer import WriteOptions
from aisio.urls import FILE, ObjectUrl

__all__ = ["Copier", "are_one_cluster"]

_MAX_TRIES = 3
_WHOLE_BYTES = 1 << 20
"""Smaller objects pass through memory in one piece."""

_PARTS_FROM_BYTES = 256 << 20
"""Larger files and objects are stored in parts: of those, only the one that fails is sent again."""

_COPY_BYTES = 1 << 20


class Copier:
    """Copies objects and files to one destination; threads may share one.

    Args:
        store: The store of the destination.
        folder: The destination, where it is a local folder.
        action: COPY, or MOVE to delete each source once its copy is verified.
        count: Called with the number of bytes that were copied just now, by any thread.
        parts_from_bytes: From this size on, what is stored is sent in parts.
    """

    def __init__(
        self,
        store: Store,
        folder: LocalFolder | None = None,
        *,
        action: Action = Action.COPY,
        count: Callable[[int], object] = lambda _: None,
        parts_from_bytes: int = _PARTS_FROM_BYTES,
    ) -> None:
        self._store = store
        self._folder = folder
        self._action = action
        self._count_bytes = count
        self._parts_from_bytes = parts_from_bytes
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Have copies that other threads are at end with an error, without a trace of them."""
        self._stopped.set()
        if self._folder is not None:
            self._folder.abandon()

    def send_ahead(self, job: Copy) -> PendingGet | None:
        """Send the request of a later copy; see `Store.send_ahead`."""
        if self._folder is None or job.entry.info.root.startswith(FILE):
            return None
        return job.entry.source.send_ahead(job.entry.info)

    def copy(self, job: Copy) -> Outcome:
        """Copy an object or file; whatever concerns it alone is told in the outcome."""
        try:
            size = self._copy(job)
        except (AisioError, OSError) as error:
            return Outcome(self._action, job.entry.info.url, str(job.url), error=error)
        return Outcome(self._action, job.entry.info.url, str(job.url), size)

    def _copy(self, job: Copy) -> int:
        source = job.entry.source.store_of(job.entry.info)
        if isinstance(source, AisStore) and are_one_cluster(source, self._store):
            return self._inside_cluster(job, source)
        if job.path is not None and self._folder is not None:
            read = self._to_file(job, job.path, self._folder, source)
        elif isinstance(source, LocalStore):
            read = self._from_file(job)
        else:
            read = self._through(job)
        if self._action is Action.MOVE:
            source.delete_copied(url_of(job.entry.info), read, self._store.head(job.url))
        return read.size_bytes or 0

    def _to_file(self, job: Copy, path: str, folder: LocalFolder, source: Store) -> ObjectInfo:
        """Write an object to a file; one that was cut short is read again from its start."""
        for tries_left in reversed(range(_MAX_TRIES)):
            try:
                with job.entry.source.get(job.entry.info) as body:
                    return _with_size(body.info, self._write(body, path, folder, source))
            except TruncatedError:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _write(self, body: Body, path: str, folder: LocalFolder, source: Store) -> int:
        url = body.info.url
        if body.left_bytes is not None and body.left_bytes <= _WHOLE_BYTES:
            data = body.readall()
            self._count(len(data))
            _check_unchanged(source, body.info)
            folder.write(path, url, data)
            return len(data)
        done = 0

        def show(total: int) -> None:
            nonlocal done
            self._count(total - done)
            done = total

        with folder.open(path, url) as file:
            size = read_into(body, FileTarget(file.fileno()), show=show)
            _check_unchanged(source, body.info)
        return size

    def _from_file(self, job: Copy) -> ObjectInfo:
        with _CountedFile(job.entry.info, self._count) as file:
            size = file.info.size_bytes or 0
            if size >= self._parts_from_bytes:
                self._write_parts(job, file)
            else:
                data = file.read() if size <= _WHOLE_BYTES else cast(BinaryIO, file)
                self._store.put(job.url, data)
            return file.info

    def _write_parts(self, job: Copy, file: io.RawIOBase) -> None:
        with self._store.writer(job.url, WriteOptions(allow_empty=True)) as writer:
            while piece := file.read(_COPY_BYTES):
                writer.write(piece)

    def _inside_cluster(self, job: Copy, source: AisStore) -> int:
        url = url_of(job.entry.info)
        is_move = self._action is Action.MOVE
        before = source.head(url) if is_move and job.entry.info.checksum is None else None
        stored = source.copy(url, job.url, listed=job.entry.info)
        if is_move and not _is_still_copied(source, url, before, stored):
            read = self._through(job)
            source.delete_copied(url, read, self._store.head(job.url))
            return read.size_bytes or 0
        self._count(stored.size_bytes or 0)
        if is_move:
            source.delete(url)
        return stored.size_bytes or 0

    def _through(self, job: Copy) -> ObjectInfo:
        """Read an object and store it; nothing is stored unless all that was read is right."""
        for tries_left in reversed(range(_MAX_TRIES)):
            try:
                with job.entry.source.get(job.entry.info) as body:
                    counted = _CountedBody(body, self._count)
                    if body.left_bytes is None or body.left_bytes >= self._parts_from_bytes:
                        self._write_parts(job, counted)
                    elif body.left_bytes <= _WHOLE_BYTES:
                        self._store.put(job.url, counted.read())
                    else:
                        # A store wants bytes that it can be sent again: they are spooled first.
                        self._store.put(job.url, cast(BinaryIO, counted))
                    return _with_size(body.info, body.got_bytes)
            except TruncatedError:
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    def _count(self, size_bytes: int) -> None:
        if self._stopped.is_set():
            raise AbandonedError("the transfer was stopped")
        self._count_bytes(size_bytes)


class _CountedFile(io.FileIO):
    """A local file that counts what is read, and fails at its end if it has changed meanwhile.

    Args:
        info: What was listed of it.
        count: Called with the number of bytes; negative when a retry rewinds the file.
    """

    def __init__(self, info: ObjectInfo, count: Callable[[int], None]) -> None:
        super().__init__(f"/{info.name}")
        self._count = count
        self._done = 0
        self.info = info_of_file(info.root, info.name, os.fstat(self.fileno()))

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = super().read(size)
        self._done += len(data)
        is_whole = size is None or size < 0
        if is_whole or not data or self._done >= (self.info.size_bytes or 0):
            self._check_unchanged()
        self._count(len(data))
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        position = super().seek(offset, whence)
        if whence == os.SEEK_SET:
            self._count(position - self._done)
            self._done = position
        return position

    def _check_unchanged(self) -> None:
        now = info_of_file(self.info.root, self.info.name, os.fstat(self.fileno()))
        if now.etag != self.info.etag:
            raise _changed(self.info)


class _CountedBody(io.RawIOBase):
    """A body that counts what is read."""

    def __init__(self, body: Body, count: Callable[[int], None]) -> None:
        super().__init__()
        self._body = body
        self._count = count

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """See `Body.read`."""
        data = self._body.read(size)
        self._count(len(data))
        return data


def _check_unchanged(source: Store, read: ObjectInfo) -> None:
    """Check that a local file is as it was when it was opened; other stores have versions."""
    if isinstance(source, LocalStore) and source.head(url_of(read)).etag != read.etag:
        raise _changed(read)


def _changed(info: ObjectInfo) -> IntegrityError:
    return IntegrityError(
        f"{info.url} changed while it was copied: let the program that writes it finish, then copy "
        f"it again",
        url=info.url,
    )


def _is_still_copied(
    source: AisStore, url: ObjectUrl, before: ObjectInfo | None, copy: ObjectInfo
) -> bool:
    """Tell whether an object is the one that the cluster has copied, and not a later one.

    Args:
        source: The store of the object.
        url: The object.
        before: What was known of it before the copy; None if it has a checksum.
        copy: The copy.
    """
    now = source.head(url)
    if now.checksum is not None:
        return now.checksum == copy.checksum  # not so of another kind, in a bucket set up for it
    return before is not None and source.is_same(url, before, now)


def _with_size(info: ObjectInfo, size_bytes: int) -> ObjectInfo:
    return replace(info, size_bytes=size_bytes)


def are_one_cluster(one: Store, other: Store) -> bool:
    """Tell whether a cluster can copy from one store to the other by itself."""
    if not (isinstance(one, AisStore) and isinstance(other, AisStore)):
        return False
    return one.client.endpoint == other.client.endpoint
