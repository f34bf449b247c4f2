"""The progress of `aisio pack`: a bar with files and bytes a second, and what it came to."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from aisio.escapes import one_line

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["PackProgress", "pack_progress"]

_UPDATE_BYTES = 1024 * 1024


class PackProgress:
    """Counts the files and bytes that threads have packed.

    Args:
        bar: The bar to show them by, if any.
    """

    def __init__(self, bar: tqdm | None) -> None:  # type: ignore[type-arg]
        self._bar = bar
        self._lock = threading.Lock()
        self._started = perf_counter()
        self._files = 0
        self._size_bytes = 0

    def add(self, size_bytes: int, files: int) -> None:
        """Count what was packed; from any thread."""
        with self._lock:
            self._files += files
            self._size_bytes += size_bytes
            if self._bar is not None and self._size_bytes - self._bar.n >= _UPDATE_BYTES:
                self._bar.set_postfix_str(f"{self._files_per_s:,.0f} files/s", refresh=False)
                self._bar.update(self._size_bytes - self._bar.n)

    @property
    def _elapsed_s(self) -> float:
        return max(perf_counter() - self._started, 1e-9)

    @property
    def _files_per_s(self) -> float:
        return self._files / self._elapsed_s

    def __str__(self) -> str:
        """Return, for example, "2,000 files in 1.2 s: 1,667 files/s, 33 MB/s"."""
        elapsed_s = self._elapsed_s
        mb_per_s = self._size_bytes / elapsed_s / 1e6
        return (
            f"{self._files:,} files in {elapsed_s:.1f} s: {self._files / elapsed_s:,.0f} files/s,"
            f" {mb_per_s:,.0f} MB/s"
        )


@contextmanager
def pack_progress(total_bytes: int, title: str) -> Iterator[PackProgress]:
    """Show a progress bar on stderr, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield PackProgress(None)
        return
    from tqdm import tqdm

    with tqdm(
        total=total_bytes, desc=one_line(title), unit="B", unit_scale=True, leave=False
    ) as bar:
        yield PackProgress(bar)
