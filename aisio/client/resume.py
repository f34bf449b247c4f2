"""Resume: a body that broke is read on behind its last good byte."""

from __future__ import annotations

from collections.abc import Callable

from aisio.client.session import Session
from aisio.errors import StorageError
from aisio.records import ByteRange, ObjectInfo
from aisio.transport.body import Body
from aisio.transport.http.response_body import ReplyBody
from aisio.transport.low_speed import LowSpeedLimit
from aisio.transport.retries import RETRYABLE, Attempts

__all__ = ["Resume"]


class Resume:
    """Continues a body behind its last good byte, as often as the retry policy allows.

    The budget is renewed with every so many bytes that came through: a long body over a bad line
    may be cut more often than a short one.

    Args:
        session: The way to the cluster.
        reopen: Opens a part of the object again, if it is the same version still.
        info: What the store said of it at first: only the same version is read on.
        byte_range: The part of it that the body is.
        attempts: The budget of the read; what it took to open the body counts.
        stopped: Tells whether nobody waits for the rest any more.
    """

    RENEWED_BY_BYTES = 1024 * 1024

    def __init__(
        self,
        session: Session,
        reopen: Callable[[ObjectInfo, ByteRange], ReplyBody],
        info: ObjectInfo,
        byte_range: ByteRange,
        attempts: Attempts,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._session = session
        self._reopen_part = reopen
        self._info = info
        self._range = byte_range
        self._attempts = attempts
        self._stopped = stopped
        self._renewed_at = 0

    @property
    def parts(self) -> Resume | None:
        """What opens parts of the body: this, where one version can be told from another."""
        return self if self._info.checksum or self._info.version or self._info.etag else None

    def open(self, start: int, stop: int, stopped: Callable[[], bool]) -> Body:
        """See `aisio.transport.body.Parts`."""
        part = ByteRange(self._range.start + start, self._range.start + stop)
        session = self._session
        resume = Resume(session, self._reopen_part, self._info, part, session.attempts(), stopped)
        try:
            raw = self._reopen_part(self._info, part)
        except RETRYABLE as error:
            raw = resume._reopen(part, error)
        rate = LowSpeedLimit.of(session.settings.timeouts)
        return Body(raw, self._info, stop - start, resume=resume, low_speed=rate)

    def leave(self) -> None:
        """See `aisio.transport.body.Parts`."""
        self._session.leave()

    def __call__(self, got: int, error: StorageError) -> ReplyBody:
        """Open a reply that goes on behind so many bytes; raise the error where none can."""
        if self.parts is None or not self._has_an_end:
            # Nothing tells one version from another: what follows might be of another object. Or
            # nothing tells where it ends: what follows might be cut as well, and pass for whole.
            raise error
        if got - self._renewed_at >= self.RENEWED_BY_BYTES:
            self._attempts.renew()
            self._renewed_at = got
        return self._reopen(ByteRange(self._range.start + got, self._range.stop), error)

    @property
    def _has_an_end(self) -> bool:
        return self._range.stop is not None or self._info.size_bytes is not None

    def _reopen(self, part: ByteRange, error: StorageError) -> ReplyBody:
        """Open a part after an error; the last one is raised, also where nobody waits any more."""
        while not self._stopped():
            self._attempts.failed(error)
            if self._stopped():
                break
            try:
                return self._reopen_part(self._info, part)
            except RETRYABLE as again:
                error = again
        raise error
