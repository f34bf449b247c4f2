"""PositionedReader: what all seekable files over objects share: size, position, seek and tell."""

from __future__ import annotations

import io

from aisio.errors import IntegrityError
from aisio.records import ObjectInfo

__all__ = ["PositionedReader"]


class PositionedReader(io.RawIOBase):
    """An object as a raw file that is read; subclasses read the bytes at the position.

    Args:
        info: The object; its size must be known.

    Raises:
        IntegrityError: The object's size is not known.
    """

    def __init__(self, info: ObjectInfo) -> None:
        super().__init__()
        if info.size_bytes is None:
            raise IntegrityError(
                f"GET {info.url}: the store does not say how many bytes it has: read it from start "
                f"to end, by get() or stream()",
                url=info.url,
            )
        self.info = info
        self._size = info.size_bytes
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next read."""
        self._check_open("tell")
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the offset of the next read; no bytes move until then.

        Raises:
            ValueError: The offset would be negative, or whence is unknown.
        """
        self._check_open("seek")
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in bases:
            raise ValueError(f"{self.info.url}: whence must be 0, 1 or 2, not {whence}")
        if bases[whence] + offset < 0:
            raise ValueError(f"{self.info.url}: seek to {bases[whence] + offset}, before the start")
        self._position = bases[whence] + offset
        return self._position

    def _check_open(self, what: str) -> None:
        if self.closed:
            raise ValueError(f"{self.info.url}: {what} of a closed file")
