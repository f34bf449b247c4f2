"""Fresh bytes that are filled in place: what is read need not be copied to become `bytes`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

from aisio.errors import StorageError

__all__ = ["fresh_bytes"]


class _Memory(BytesIO):
    """A BytesIO that goes quietly where the traceback of an error still holds slices of it.

    Python 3.13 tells of any error that the collector meets in closing a file.
    """

    __slots__ = ()

    def close(self) -> None:
        """Free the memory, unless slices of it are held: then it goes with them."""
        with suppress(BufferError):
            super().close()


def fresh_bytes(size: int, fill: Callable[[memoryview], int], about: str = "a reply") -> bytes:
    """Return bytes that a function fills.

    A BytesIO made of bytes shares their memory, and gives the same memory back as bytes.

    Args:
        size: How many there are at most.
        fill: Fills a prefix of what it is given, and returns its length.
        about: What is read, for errors.

    Returns:
        That prefix; where it is all of the memory, that is not copied.

    Raises:
        StorageError: There is not so much memory.
    """
    try:
        memory = _Memory(bytes(size))
    except (MemoryError, OverflowError):
        raise StorageError(
            f"GET {about}: there is no memory for the {size:,} bytes that it is said to have; if "
            f"it has them, read it by parts, with stream(), open() or get(into=)"
        ) from None
    with memory.getbuffer() as view:
        count = fill(view)
    return memory.getvalue() if count == size else memory.getvalue()[:count]
