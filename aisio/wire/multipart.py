"""Parsing the multipart form of a get-batch response: metadata, then the archive.

Source:
    RFC 2046, section 5.1.1; AIStore 5.0, xact/xs/moss.go (parts "metadata" and "archive").
"""

from __future__ import annotations

from email.message import Message
from enum import Enum

from aisio.errors import IntegrityError, TruncatedError

__all__ = ["MultipartResponse"]

_HEAD_END = b"\r\n\r\n"
_MAX_HEAD_BYTES = 1 << 16
_MAX_METADATA_BYTES = 1 << 28  # 200 bytes an entry: over a million of them


class _Stage(Enum):
    PREAMBLE = "the first boundary"
    METADATA_HEAD = "the header of the metadata"
    METADATA = "the end of the metadata"
    ARCHIVE_HEAD = "the header of the archive"
    ARCHIVE = "the end of the archive"
    END = "the closing boundary"


class MultipartResponse:
    """Parses the multipart form while it arrives; it buffers the metadata, never the archive.

    Args:
        content_type: The response's Content-Type, which names the boundary.

    Attributes:
        metadata: The first part, once all of it has come; see `batch.parse_batch_metadata`.
    """

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self._delimiter = b""
        self._stage = _Stage.PREAMBLE
        self._heads = bytearray(b"\r\n")  # the line break of a boundary that opens the body
        self._searched = 0  # no mark begins in the heads before this byte
        self._pending = b""  # received, and perhaps the beginning of a boundary
        self.metadata: bytes | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take in the next bytes of the response.

        Returns:
            The bytes of the archive among them; b"" while the metadata comes.

        Raises:
            IntegrityError: It is not the multipart form of a get-batch response.
        """
        self._delimiter = self._delimiter or _delimiter(self._content_type)
        if self._stage is _Stage.END:
            self._pending = (self._pending + data[:2])[:2]
            return b""
        if self._stage is not _Stage.ARCHIVE:
            self._heads += data
            if not self._take_heads():
                return b""
            data, self._heads = self._heads, bytearray()
        self._pending = self._pending + data if self._pending else bytes(data)
        return self._take_archive()

    def finish(self) -> None:
        """Mark the end of the response.

        Raises:
            TruncatedError: It ended before its closing boundary.
        """
        if self._stage is not _Stage.END or not self._pending.startswith(b"--"):
            raise TruncatedError(
                f"get-batch: the reply ended before {self._stage.value}: it was cut; ask again"
            )

    def _take_heads(self) -> bool:
        """Parse the bytes before the archive that have come; tell whether these are all."""
        if self._stage is _Stage.PREAMBLE:
            self._take(self._delimiter, _MAX_HEAD_BYTES, _Stage.METADATA_HEAD)
        if self._stage is _Stage.METADATA_HEAD:
            self._take(_HEAD_END, _MAX_HEAD_BYTES, _Stage.METADATA)
        if self._stage is _Stage.METADATA:
            self.metadata = self._take(self._delimiter, _MAX_METADATA_BYTES, _Stage.ARCHIVE_HEAD)
        if self._stage is _Stage.ARCHIVE_HEAD:
            self._take(_HEAD_END, _MAX_HEAD_BYTES, _Stage.ARCHIVE)
        return self._stage is _Stage.ARCHIVE

    def _take(self, mark: bytes, limit_bytes: int, following: _Stage) -> bytes | None:
        heads = self._heads
        found = heads.find(mark, self._searched)
        if (found if found >= 0 else len(heads)) > limit_bytes:
            raise IntegrityError(
                f"get-batch: {self._stage.value} did not come within {limit_bytes} bytes: "
                "not a get-batch reply"
            )
        if found < 0:
            self._searched = max(0, len(heads) - len(mark) + 1)
            return None
        before = bytes(heads[:found])
        del heads[: found + len(mark)]
        self._stage, self._searched = following, 0
        return before

    def _take_archive(self) -> bytes:
        data, delimiter = self._pending, self._delimiter
        stop = data.find(delimiter)
        if stop >= 0:
            self._stage, self._pending = _Stage.END, data[stop + len(delimiter) :]
            return data[:stop]
        # Only what may be the beginning of a boundary is kept back. That is mostly nothing, and the
        # data is returned without a copy.
        tail = data.find(b"\r", max(0, len(data) - len(delimiter) + 1))
        if tail < 0:
            self._pending = b""
            return data
        self._pending = data[tail:]
        return data[:tail]


def _delimiter(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary() or ""
    is_multipart = message.get_content_maintype() == "multipart"
    if not (is_multipart and boundary and boundary.isascii()):
        raise IntegrityError(
            f"get-batch: the reply is {content_type!r}, a multipart one was asked for"
        )
    return b"\r\n--" + boundary.encode("ascii")
