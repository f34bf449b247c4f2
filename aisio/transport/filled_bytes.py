"""New `bytes` that a read fills in place, so that what was received need not be copied.

Python's C API lets whoever makes a `bytes` object write to it before anybody else has it; ctypes
calls that API, on CPython. A ctypes array at the same address keeps the object alive as long as any
view of it.

A BytesIO could do the same, but has a fault: where the traceback of an error holds slices of its
buffer in a reference cycle, the garbage collector of Python 3.12 crashes, and that of 3.13 reports
an error in closing the BytesIO.

Source: PyBytes_FromStringAndSize in https://docs.python.org/3/c-api/bytes.html
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from aisio.errors import StorageError

__all__ = ["filled_bytes"]

_new_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
_address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(
    ("PyBytes_AsString", ctypes.pythonapi)
)


def filled_bytes(size: int, fill: Callable[[memoryview], int], about: str = "a reply") -> bytes:
    """Return bytes that a function fills.

    Args:
        size: The most bytes that there can be.
        fill: Fills a prefix of a view and returns the length of the prefix. It must not write to
            the view after it has returned.
        about: What is read, for errors.

    Returns:
        The prefix. It is not copied where it is the whole view.

    Raises:
        StorageError: There is not enough memory.
    """
    if not size:
        fill(memoryview(bytearray()))
        return b""
    try:
        # ctypes takes numbers modulo 2^64: one that is too large would be taken for a small one.
        data: bytes = _new_bytes(None, min(size, sys.maxsize))
    except (MemoryError, OverflowError):
        raise StorageError(
            f"GET {about}: there is no memory for the {size:,} bytes that it is said to have; if "
            f"it has them, read it by parts, with stream(), open() or get(into=)"
        ) from None
    with _writable_view(data) as view:
        count = fill(view)
    if not 0 <= count <= size:
        raise StorageError(f"GET {about}: {count:,} bytes cannot have been read into {size:,}")
    return data if count == size else data[:count]


def _writable_view(data: bytes) -> memoryview:
    # The array is longer than the bytes: whoever gets the view must not use its `obj`.
    array = _array_type(len(data).bit_length()).from_address(_address_of(data))
    array.owner = data
    return memoryview(array).cast("B")[: len(data)]


@cache
def _array_type(bits: int) -> Any:
    """Return one type for all sizes of so many bits: ctypes is slow to make one."""
    return type("Memory", (ctypes.c_char * (1 << bits),), {})
