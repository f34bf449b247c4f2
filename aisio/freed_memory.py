"""Has the C library keep memory that was freed, for the next batch or piece.

glibc gives the end of its heap back to the system where more than 128 KiB of it are free. If the
last batch is there, each batch is paid for in page faults: it was so in one of four runs, and the
trainer took 25 us for a sample of 70 KB in place of 10. Batches of bytes that torch's DataLoader
receives come through a buffer of megabytes, and cost it 62 us a sample in place of 35. So datasets
do this as well where they are made: in the trainer's process, and for workers forked from it. The
gateway does it for the pieces of archives, which it makes in threads.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

__all__ = ["keep_freed_memory"]

_BLOCK_BYTES = 31 << 20
"""Just below the largest block that changes the limit."""


@cache
def keep_freed_memory() -> None:
    """Free a large block that was never used: from then on glibc keeps up to 62 MiB.

    So does any program that frees a tensor of that size. Limits that were set for the process, as
    by MALLOC_TRIM_THRESHOLD_, stay; other C libraries are as they were.

    Once in a process, and not again in those forked from it: below the limit such a block comes
    from the heap, whose pages are all written.

    Source:
        mallopt(3), M_MMAP_THRESHOLD: freeing a block raises this limit to its size, and
        M_TRIM_THRESHOLD to twice that.
    """
    with suppress(MemoryError):
        bytes(_BLOCK_BYTES)
