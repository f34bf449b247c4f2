"""Bodies of stores and web servers as the responses of an origin."""

from __future__ import annotations

from urllib3.exceptions import HTTPError

from aisio.records import ObjectInfo
from aisio.transport.body import Body
from aisio.transport.http.response_body import Urllib3Body

_MAX_READ_BYTES = 256 * 1024


class BodyResponse:
    """A body as a response; see `aisio.resources.download.download.OriginResponse`.

    Args:
        body: The bytes, which check themselves.
        start: First byte that it delivers.
    """

    def __init__(self, body: Body, start: int) -> None:
        self._body = body
        self.start = start
        self.size_bytes = body.info.size_bytes
        self.version = _version(body.info)
        self.sha256: str | None = None
        self.checks_itself = body.info.checksum is not None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length; 0 at the end."""
        return self._body.readinto(buffer)

    def close(self) -> None:
        """Release the connection."""
        self._body.close()


class PromptBody(Urllib3Body):
    """A body that returns the bytes that have come, and does not wait until a buffer is full.

    So its reader sees how slowly the bytes come: see `aisio.transport.low_speed`.
    """

    __slots__ = ()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a prefix of the buffer and return its length, 0 at the end; errors as for `read`."""
        try:
            data = self._response.read1(min(len(buffer), _MAX_READ_BYTES))
        except (HTTPError, OSError) as error:
            data = self._handle_break(error)
        buffer[: len(data)] = data
        return len(data)


def _version(info: ObjectInfo) -> str | None:
    """Join everything that differs between versions; None where there is nothing.

    Equal weak ETags mean equal content only, not equal bytes (RFC 9110, section 8.8.1).
    """
    checksum = f"{info.checksum.kind}:{info.checksum.value}" if info.checksum else ""
    etag = "" if info.etag.startswith("W/") else info.etag
    parts = (checksum, info.version, etag)
    return "/".join(parts) if any(parts) else None
