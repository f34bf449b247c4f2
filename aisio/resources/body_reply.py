"""BodyReply: a body of a store or web server as the reply that a download reads."""

from __future__ import annotations

from aisio.records import ObjectInfo
from aisio.streams import Body


class BodyReply:
    """A body as a reply; see `aisio.resources.download.Reply`.

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
        """Let go of the connection."""
        self._body.close()


def _version(info: ObjectInfo) -> str | None:
    """Join all that tells one version from another; None where there is nothing.

    A weak ETag promises the same meaning only, not the same bytes (RFC 9110, section 8.8.1).
    """
    checksum = f"{info.checksum.kind}:{info.checksum.value}" if info.checksum else ""
    etag = "" if info.etag.startswith("W/") else info.etag
    parts = (checksum, info.version, etag)
    return "/".join(parts) if any(parts) else None
