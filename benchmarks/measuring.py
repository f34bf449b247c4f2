"""One measurement: a reader run to its end, in a process of its own.

A reader is a generator. It first prepares imports, addresses and buffers, which is not measured, as
it is no part of an epoch. Then it yields READY, and after that the payload bytes of each item.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from corpus import Corpus

Items: TypeAlias = Iterator[int]
Reader: TypeAlias = Callable[[Corpus], Items]

READY = -1


def measure(reader: Reader, corpus: Corpus) -> dict[str, float]:
    """Run a reader and return its figures.

    Returns:
        items and bytes delivered; wall_s, cpu_s (children included) and first_s (time to the first
        item), in seconds; baseline_bytes and peak_bytes, the resident memory at the start and at
        its maximum.
    """
    items = reader(corpus)
    assert next(items) == READY, reader
    baseline = _reset_peak()
    cpu, started = _cpu_s(), time.perf_counter()
    size_bytes = next(items)
    first_s = time.perf_counter() - started
    count = 1
    for item_bytes in items:
        count += 1
        size_bytes += item_bytes
    wall_s = time.perf_counter() - started
    return {
        "items": count,
        "bytes": size_bytes,
        "wall_s": wall_s,
        "cpu_s": _cpu_s() - cpu,
        "first_s": first_s,
        "baseline_bytes": baseline,
        "peak_bytes": _memory("VmHWM"),
    }


def _cpu_s() -> float:
    """Return the CPU time of this process and of the children it has waited for, in seconds."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _reset_peak() -> int:
    """Reset the peak of resident memory, and return its size now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    """Return a memory figure of this process in bytes; see proc_pid_status(5)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    words = next(line.split() for line in lines if line.startswith(field))
    return int(words[1]) * 1024
