"""Fresh bytes that are filled in place: what is read need not be copied to become `bytes`.

The memory is a BytesIO's. An error's traceback keeps the local variables of the frames that it came
through, and with them slices of that memory, often in a cycle. Where the garbage collector meets
such slices, Python 3.13 reports an error in closing the BytesIO, and 3.12 crashes. So whoever fills
a buffer and fails lets go of these frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from traceback import clear_frames

from aisio.errors import StorageError

__all__ = ["forget_frames", "fresh_bytes"]


def fresh_bytes(size: int, fill: Callable[[memoryview], int], about: str = "a reply") -> bytes:
    """Return bytes that a function fills.

    A BytesIO made of bytes shares their memory, and gives the same memory back as bytes.

    Args:
        size: How many there are at most.
        fill: Fills a prefix of what it is given, and returns its length. An error that it makes
            good must go through `forget_frames`.
        about: What is read, for errors.

    Returns:
        That prefix; where it is all of the memory, that is not copied.

    Raises:
        StorageError: There is not so much memory.
    """
    try:
        memory = BytesIO(bytes(size))
    except (MemoryError, OverflowError):
        raise StorageError(
            f"GET {about}: there is no memory for the {size:,} bytes that it is said to have; if "
            f"it has them, read it by parts, with stream(), open() or get(into=)"
        ) from None
    with memory.getbuffer() as view:
        try:
            count = fill(view)
        except BaseException as error:
            for cause in _causes(error):
                clear_frames(cause.__traceback__)
            raise
    return memory.getvalue() if count == size else memory.getvalue()[:count]


def forget_frames(error: BaseException) -> None:
    """Take the tracebacks from an error that is kept or made good, and from what led to it."""
    for cause in _causes(error):
        cause.__traceback__ = None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what it was raised from; not what a caller may be dealing with."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
