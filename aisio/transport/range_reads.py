"""RangeReads: ranges of one version of an object, read by any thread, and verified.

A range that is cut is read on from where it broke. `OrderedCheck` compares the checksum of the
whole object with ranges that come in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aisio.errors import IntegrityError, RangeError, StorageError, TruncatedError
from aisio.formats.checksums import Hasher, new_hasher
from aisio.records import ByteRange, ObjectInfo, RetryPolicy, same_version
from aisio.transport.body import Body, replaced_while_open
from aisio.transport.retries import RETRYABLE, Attempts

__all__ = ["OrderedCheck", "RangeOpener", "RangeReads"]


class RangeOpener(NamedTuple):
    """How a store is read.

    Attributes:
        open: Opens a range of the object; None is the whole of it, with its checksum.
        retry: How often a range is tried.
        is_same: Tells whether two responses are of one version of the object.
        first: The first bytes of the object, where a response to a range has brought them and what
            is known of the object; they are not read again.
    """

    open: Callable[[ByteRange | None], Body]
    retry: RetryPolicy
    is_same: Callable[[ObjectInfo, ObjectInfo], bool] = same_version
    first: memoryview = memoryview(b"")


class RangeReads:
    """Reads ranges of one version of an object, from any thread.

    Args:
        info: The object.
        opener: Opens them.

    Attributes:
        size: The size of the object.
        is_stopped: Set to true, it ends the reads that go on.
        has_range_checksums: The checksum in the response to a range is that of the range, and so is
            the one that is known of the object.
    """

    def __init__(self, info: ObjectInfo, opener: RangeOpener) -> None:
        self.info = info
        self.size = info.size_bytes or 0
        self.opener = opener
        self.is_stopped = False
        self.has_range_checksums = False

    def read(self, start: int, view: memoryview) -> None:
        """Fill a view with the bytes from an offset on.

        Raises:
            IntegrityError: The bytes are not as promised, or the object was replaced meanwhile.
        """
        attempts, stop, done = Attempts(self.opener.retry), start + len(view), 0
        while True:
            try:
                with self._open(start + done, stop) as body:
                    while done < len(view):
                        done += self._read_some(body, view[done:])
                    if len(view) == self.size:
                        body.read(1)  # a whole body compares its checksum at its end
            except RETRYABLE as error:
                if self.is_stopped:
                    raise
                attempts.failed(error)
            else:
                return

    def _open(self, start: int, stop: int) -> Body:
        is_whole = not start and stop == self.size
        try:
            body = self.opener.open(None if is_whole else ByteRange(start, stop))
        except RangeError as error:  # it is smaller now
            raise replaced_while_open(self.info) from error
        if not self.opener.is_same(self.info, body.info):
            body.close()
            raise replaced_while_open(self.info)
        if self.opener.first and body.info.checksum != self.info.checksum:
            self.has_range_checksums = True
        return body

    def _read_some(self, body: Body, view: memoryview) -> int:
        count = body.readinto(view)
        if not count:
            raise TruncatedError(
                f"GET {self.info.url}: cut short: {len(view):,} bytes are missing",
                url=self.info.url,
            )
        if self.is_stopped:
            raise StorageError(f"GET {self.info.url}: closed", url=self.info.url)
        return count


class OrderedCheck:
    """Compares the object's checksum with the bytes, as far as they come in order.

    Args:
        info: The object, with its checksum if the store has one.
    """

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info
        self._hasher: Hasher | None = new_hasher(info.checksum)
        self._checked = 0

    def add(self, start: int, data: memoryview) -> None:
        """Take in the bytes from an offset on.

        Raises:
            IntegrityError: All bytes were taken in, and they have another checksum.
        """
        if self._hasher is None or not start <= self._checked < start + len(data):
            return
        self._hasher.update(data[self._checked - start :])
        self._checked = start + len(data)
        checksum = self._info.checksum
        if checksum is None or self._checked != self._info.size_bytes:
            return
        actual, self._hasher = self._hasher.hexdigest(), None
        if actual != checksum.value.lower():
            self._hasher, self._checked = new_hasher(checksum), 0  # for who reads it again
            raise IntegrityError(
                f"GET {self._info.url}: the {checksum.kind} checksum of its bytes is {actual}, the "
                f"store says {checksum.value}; read it again",
                url=self._info.url,
            )
