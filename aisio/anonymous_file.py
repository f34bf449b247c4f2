"""AnonymousFile: a file without a name, for processes that share data.

It lasts as long as a process has it open, so nothing has to remove it, however processes end. A
forked process inherits it, and one that multiprocessing spawns receives it with what is sent there.
"""

from __future__ import annotations

import os
import tempfile
from multiprocessing.context import get_spawning_popen
from multiprocessing.reduction import DupFd
from typing import Any
from weakref import finalize

__all__ = ["AnonymousFile", "open_anonymous_file"]


class AnonymousFile:
    """A file without a name: in memory on Linux, in the folder of temporary files elsewhere.

    It pickles only to a process that multiprocessing starts.

    Args:
        descriptor: An open file that this object closes; by default a new one.

    Attributes:
        descriptor: The open file.

    Raises:
        OSError: No file can be made.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = open_anonymous_file() if descriptor is None else descriptor
        # At exit, threads may still use it.
        finalize(self, os.close, self.descriptor).atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        if get_spawning_popen() is None:
            raise TypeError("an AnonymousFile pickles only to a process that is being started")
        return _received, (DupFd(self.descriptor),)

    def write(self, data: bytes, start: int) -> None:
        """Write all of the data, from a byte of the file on."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.descriptor, view, start)
            view, start = view[written:], start + written


def open_anonymous_file(label: str = "aisio") -> int:
    """Return the descriptor of a new file without a name: in memory on Linux.

    Args:
        label: What a list of this process's memory shows.

    Raises:
        OSError: No file can be made.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create(label)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _received(descriptor: Any) -> AnonymousFile:
    return AnonymousFile(descriptor.detach())
