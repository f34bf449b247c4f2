"""Resume: continues a body whose response was cut, after its last good byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aisio.errors import IntegrityError, StorageError
from aisio.records import ByteRange, ObjectInfo, Settings
from aisio.transport.body import Body
from aisio.transport.http.response_body import ResponseBody
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import RETRYABLE, Attempts

__all__ = ["ReadSession", "Resume", "replaced_error"]


class ReadSession(Protocol):
    """What reading on needs of a session."""

    @property
    def settings(self) -> Settings:
        """The timeouts."""

    def attempts(self) -> Attempts:
        """Return a fresh retry budget."""

    def close_thread_connections(self) -> None:
        """Close the connections that only the calling thread uses."""


class Resume:
    """Continues a body after its last good byte, as often as the retry policy allows.

    Bytes that came through renew the budget: a long body on a bad line may be cut more often than a
    short one.

    Args:
        session: Has the retry policy and the timeouts.
        reopen: Opens a range of the object, if the object is still of the same version.
        info: What the store said of the object at first.
        byte_range: The part of the object that the body is.
        attempts: The retry budget of the read. Opening the body has drawn on it already.
        stopped: Tells whether nobody waits for the rest any more.
    """

    RENEWED_BY_BYTES = 1024 * 1024
    """So many bytes renew the budget."""

    def __init__(
        self,
        session: ReadSession,
        reopen: Callable[[ObjectInfo, ByteRange], ResponseBody],
        info: ObjectInfo,
        byte_range: ByteRange,
        attempts: Attempts,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._session = session
        self._reopen = reopen
        self._info = info
        self._range = byte_range
        self._attempts = attempts
        self._stopped = stopped
        self._renewed_at = 0

    @property
    def parts(self) -> Resume | None:
        """Opens parts of the body; None where the store does not tell versions apart."""
        return self if self._info.checksum or self._info.version or self._info.etag else None

    def open(self, start: int, stop: int, stopped: Callable[[], bool]) -> Body:
        """See `aisio.transport.body.Parts`."""
        part = ByteRange(self._range.start + start, self._range.start + stop)
        session = self._session
        resume = Resume(session, self._reopen, self._info, part, session.attempts(), stopped)
        try:
            response = self._reopen(self._info, part)
        except RETRYABLE as error:
            response = resume._retry(part, error)
        low_speed = LowSpeedLimit.of(session.settings.timeouts)
        return Body(response, self._info, stop - start, resume=resume, low_speed=low_speed)

    def close_thread_connections(self) -> None:
        """See `aisio.transport.body.Parts`."""
        self._session.close_thread_connections()

    def __call__(self, got: int, error: StorageError) -> ResponseBody:
        """Open a response that continues after `got` bytes; raise the error if none can."""
        if self.parts is None or not self._has_known_end:
            # Without a version the rest might be that of another object. Without a known end the
            # rest might be cut as well, and would look whole.
            raise error
        if got - self._renewed_at >= self.RENEWED_BY_BYTES:
            self._attempts.renew()
            self._renewed_at = got
        return self._retry(ByteRange(self._range.start + got, self._range.stop), error)

    @property
    def _has_known_end(self) -> bool:
        return self._range.stop is not None or self._info.size_bytes is not None

    def _retry(self, part: ByteRange, error: StorageError) -> ResponseBody:
        """Open a part after an error; raise the last error if that fails or nobody waits."""
        while not self._stopped():
            self._attempts.failed(error)
            if self._stopped():
                break
            try:
                return self._reopen(self._info, part)
            except RETRYABLE as again:
                error = again
        raise error


def replaced_error(info: ObjectInfo) -> IntegrityError:
    """Return the error of a read that met another version of its object."""
    return IntegrityError(
        f"GET {info.url}: the object was replaced while it was read; read it again", url=info.url
    )
