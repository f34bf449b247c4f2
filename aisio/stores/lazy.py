"""Lazy: a value that is expensive to make, and made on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from aisio.forks import SameProcess, this_process

T = TypeVar("T")


class Lazy(Generic[T]):
    """Makes a value on the first call, and returns the same one from then on.

    Other threads wait for the thread that makes it. If that raises, the next call tries again. It
    pickles with its value, if there is one, so that a worker need not make it again.

    Args:
        make: Makes the value; it must pickle too.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[T] | None = None
        # By process: a lock that another thread held at a fork would stay locked in the child.
        self._locks: dict[SameProcess, threading.Lock] = {}

    def __call__(self) -> T:
        """Return the value; errors are those of `make`."""
        if self._made is None:
            with self._locks.setdefault(this_process(), threading.Lock()):
                if self._made is None:
                    self._made = (self._make(),)
        return self._made[0]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_locks": {}}
