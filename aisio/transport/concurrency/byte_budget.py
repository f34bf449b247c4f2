"""ByteBudget: a limit on the bytes of results that are in flight or wait for their turn."""

from __future__ import annotations

import threading
from typing import Any

from aisio.transport.concurrency.calls import Call

__all__ = ["ByteBudget"]


class ByteBudget:
    """Reserves bytes for calls; where a size is not known, the results so far tell what to expect.

    The threads of an iteration share it.

    Args:
        max_bytes: How many bytes may be reserved at a time. A larger result is alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._reserved_bytes = 0
        self._average_bytes: float | None = None
        self._lock = threading.Lock()

    @property
    def knows_sizes(self) -> bool:
        """Whether there was a result, which tells what size to expect."""
        return self._average_bytes is not None

    def expected_bytes(self, call: Call[Any, Any]) -> float:
        """Return the size to expect of a call's result; 0 where nothing is known yet."""
        return call.size_bytes or self._average_bytes or 0

    def reserve(self, call: Call[Any, Any], *, is_only: bool) -> bool:
        """Reserve the bytes of a call's result; return False if there are too few.

        Args:
            call: The call; its size becomes what was reserved.
            is_only: No other call is in flight: then any size is allowed.
        """
        with self._lock:
            size = call.size_bytes
            if size is None:
                # Before the first result no size is known: reserve everything, so that this call
                # runs alone.
                average = self._average_bytes
                size = self._max_bytes if average is None else int(average)
            if not is_only and self._reserved_bytes + size > self._max_bytes:
                return False
            call.size_bytes = size
            self._reserved_bytes += size
            return True

    def record_result(self, call: Call[Any, Any], size_bytes: int) -> None:
        """Replace what was reserved for a call by the size of its result."""
        with self._lock:
            self._reserved_bytes += size_bytes - (call.size_bytes or 0)
            call.size_bytes = size_bytes
            average = self._average_bytes
            self._average_bytes = (
                size_bytes if average is None else average + (size_bytes - average) / 8
            )

    def release(self, call: Call[Any, Any]) -> None:
        """Release the bytes of a call whose result is about to be yielded."""
        with self._lock:
            self._reserved_bytes -= call.size_bytes or 0
