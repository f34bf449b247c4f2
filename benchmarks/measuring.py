"""One measurement: a reader run to its end, in a process of its own.

A reader is a generator. It first prepares imports, addresses and buffers, which is not measured, as
it is no part of an epoch. Then it yields READY, and after that the payload bytes of each item. What
it returns takes the place of the figures of these names.

What was made to be read is removed while the reader ends, within the time that is measured. To
remove a file of 2 GiB takes half a second. So that is done in a `with unmeasured()` block.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

import processes
from corpus import Corpus

Items: TypeAlias = Iterator[int]
Reader: TypeAlias = Callable[[Corpus], Items]
ItemsWithFigures: TypeAlias = Generator[int, None, Mapping[str, float]]

READY = -1

_left_out: list[tuple[float, float]] = []
"""Seconds, and seconds of the processors, of the blocks that are not measured."""


def measure(reader: Reader, corpus: Corpus) -> dict[str, float]:
    """Run a reader and return its figures.

    Returns:
        items and bytes delivered; wall_s, cpu_s (children included) and first_s (time to the first
        item), in seconds; baseline_bytes and peak_bytes, the resident memory at the start and at
        its maximum.
    """
    own: dict[str, float] = {}
    _left_out.clear()
    items = _with_figures(reader(corpus), own)
    assert next(items) == READY, reader
    baseline = _reset_peak()
    cpu, started = processes.cpu_s(), time.perf_counter()
    size_bytes = next(items)
    first_s = time.perf_counter() - started
    count = 1
    for item_bytes in items:
        count += 1
        size_bytes += item_bytes
    wall_s = time.perf_counter() - started - sum(wall for wall, _ in _left_out)
    cpu_s = processes.cpu_s() - cpu - sum(cpu for _, cpu in _left_out)
    return {
        "items": count,
        "bytes": size_bytes,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "first_s": first_s,
        "baseline_bytes": baseline,
        "peak_bytes": _memory("VmHWM"),
        **own,
    }


@contextmanager
def unmeasured() -> Iterator[None]:
    """Leave a block out of the time that is measured: one behind the last item."""
    cpu, started = processes.cpu_s(), time.perf_counter()
    try:
        yield
    finally:
        _left_out.append((time.perf_counter() - started, processes.cpu_s() - cpu))


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder; that it is removed is not measured."""
    folder = tempfile.TemporaryDirectory(dir=parent)
    try:
        yield Path(folder.name)
    finally:
        with unmeasured():
            folder.cleanup()


def _with_figures(items: Items, figures: dict[str, float]) -> Items:
    returned = yield from cast("ItemsWithFigures", items)  # most return nothing
    figures.update(returned or {})


def _reset_peak() -> int:
    """Reset the peak of resident memory, and return its size now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    """Return a memory figure of this process in bytes; see proc_pid_status(5)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    words = next(line.split() for line in lines if line.startswith(field))
    return int(words[1]) * 1024
