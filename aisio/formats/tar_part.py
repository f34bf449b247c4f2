"""TarPart: some neighbouring members of an archive, parsed where they stand in memory."""

from __future__ import annotations

from aisio.formats.tar import TarParser
from aisio.formats.tar_extensions import ExtensionHeaders

__all__ = ["TarPart"]

_NO_SPACE = memoryview(bytearray())


class TarPart(TarParser):
    """A TarParser whose input is whole members, without an end-of-archive block behind them.

    One that was made may parse any number of parts, one after the other. Nothing is fed to it:
    `begin` says where the bytes are.

    Args:
        url: The archive's URL, for errors.
    """

    def __init__(self, url: str = "") -> None:
        super().__init__(url, buffer_bytes=1024, allow_unreadable=True)

    def begin(self, buffer: bytearray, start: int, stop: int, offset: int) -> None:
        """Go to a part; its bytes are neither copied nor changed.

        Args:
            buffer: Has the members, and must not change while they are read.
            start: Where in the buffer the first header of the first member stands.
            stop: One past the last member's last byte, padding included.
            offset: Byte of the archive that stands at buffer[start].
        """
        self._buffer, self._view = buffer, memoryview(buffer)
        self._base, self._start, self._end = offset - start, start, stop
        self._payload_left = self._skip_left = 0
        self._collected = self._member = self._sparse = self._failure = None
        self._extensions = ExtensionHeaders()
        self._in_sparse_map = self._finished = False
        self.end_offset = None

    def get_buffer(self) -> memoryview:
        """Return no space: nothing is fed."""
        return _NO_SPACE

    def finish(self) -> None:
        """See `TarParser.finish`; behind a whole member the archive may end without its block."""
        is_between_members = self._start == self._end and self._extensions.offset is None
        if is_between_members and not (
            self._payload_left or self._skip_left or self._in_sparse_map or self.end_offset
        ):
            self.end_offset = self._offset
        super().finish()
