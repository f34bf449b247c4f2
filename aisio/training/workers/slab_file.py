"""Memory that a process shares with those it starts: slots of one size, without a name.

The memory is a file that only its descriptor leads to: it is gone with the last process that has
it, however that ends. It is sparse. A slot is as large as the largest batch may be, and what was
never written takes no memory, so nothing has to be known of the batches beforehand.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from multiprocessing import reduction
from typing import Any

from aisio.anonymous_file import open_anonymous_file

__all__ = ["SlabFile"]


class SlabFile:
    """Slots of memory in a file without a name, mapped in this process.

    A forked process has it as it is. A process that is being started by "spawn" or "forkserver"
    gets it by pickle; at any other time a pickle of it is good for one process.

    Args:
        slots: Number of slots.
        slot_bytes: Size of each; a multiple of the page size.
        descriptor: The file, if it exists already; it is closed with this object.

    Attributes:
        slots: As given.
        slot_bytes: As given.
        memory: All slots, one behind the other.

    Raises:
        OSError: A limit of this process, such as on the size of files, is in the way, or the system
            is one without descriptors that processes can share.
    """

    def __init__(self, slots: int, slot_bytes: int, descriptor: int | None = None) -> None:
        if not hasattr(reduction, "DupFd"):
            raise OSError("this system has no descriptors that processes can share")
        self.slots = slots
        self.slot_bytes = slot_bytes
        self._descriptor = (
            open_anonymous_file("aisio-batches") if descriptor is None else descriptor
        )
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        if descriptor is None:
            os.ftruncate(self._descriptor, slots * slot_bytes)
        self.memory = mmap.mmap(self._descriptor, slots * slot_bytes)
        self._type = ctypes.c_char * slot_bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._descriptor), self.slots, self.slot_bytes)

    def slot(self, number: int) -> Any:
        """Return the memory of a slot, as an object that all views of it keep alive."""
        return self._type.from_buffer(self.memory, number * self.slot_bytes)

    def bytes_of(self, number: int) -> memoryview:
        """Return the memory of a slot as bytes."""
        start = number * self.slot_bytes
        return memoryview(self.memory)[start : start + self.slot_bytes]

    def discard(self, number: int, start: int, stop: int) -> None:
        """Give whole pages of a slot back to the system, where it can take them.

        Args:
            number: Which slot.
            start: First byte that is not needed any more; the page that it is in stays.
            stop: Where what was written ends.
        """
        start, stop = (-(-place // mmap.PAGESIZE) * mmap.PAGESIZE for place in (start, stop))
        if start < stop and hasattr(mmap, "MADV_REMOVE"):
            self.memory.madvise(mmap.MADV_REMOVE, number * self.slot_bytes + start, stop - start)


def _received(descriptor: Any, slots: int, slot_bytes: int) -> SlabFile:
    return SlabFile(slots, slot_bytes, descriptor.detach())
