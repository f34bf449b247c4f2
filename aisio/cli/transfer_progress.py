"""The progress of a transfer: one bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aisio.cli.output import write_note

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["TransferProgress", "amount_text", "transfer_progress"]

_LINE_AFTER_S = 10.0
_FORMAT = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_FORMAT_WITHOUT_TOTAL = "{desc}{n_fmt} [{elapsed}{postfix}]"


def amount_text(size_bytes: float) -> str:
    """Return a number of bytes with three digits, as in "1.23 GB"; a GB has 10**9 bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5 or unit == "GB":
            break
        size_bytes /= 1000
    digits = 0 if unit == "B" or size_bytes >= 99.95 else 1 if size_bytes >= 9.995 else 2
    return f"{size_bytes:,.{digits}f} {unit}"


class TransferProgress:
    """Counts what was copied, and shows it; see `aisio.transfer.options.Progress`.

    Args:
        make_bar: Makes the bar, of so many bytes; None shows a line now and then.
        is_quiet: Show nothing.
        now: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        make_bar: Callable[[int | None], tqdm] | None,  # type: ignore[type-arg]
        *,
        is_quiet: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_bar = make_bar
        self._is_quiet = is_quiet
        self._now = now
        self._lock = threading.Lock()
        self._bar: tqdm | None = None  # type: ignore[type-arg]
        self._started_s = self._shown_s = now()
        self._files: tuple[int, int] = (0, 0)
        self._bytes: tuple[int, int | None] = (0, None)

    def begin(self, files: int, size_bytes: int | None) -> None:
        """See `Progress.begin`."""
        self._started_s = self._shown_s = self._now()
        self._files, self._bytes = (0, files), (0, size_bytes)
        if files and self._make_bar is not None and not self._is_quiet:
            self._bar = self._make_bar(size_bytes)

    def add(self, size_bytes: int) -> None:
        """See `Progress.add`."""
        with self._lock:
            done, total = self._bytes
            self._bytes = (done + size_bytes, total)
            self._show(size_bytes)

    def finish_file(self) -> None:
        """See `Progress.finish_file`."""
        with self._lock:
            done, total = self._files
            self._files = (done + 1, total)
            self._show(0)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    @property
    def rate_text(self) -> str:
        """Seconds and speed so far, as in "1.2 s, 830 MB/s"."""
        elapsed_s = max(self._now() - self._started_s, 1e-3)
        return f"{elapsed_s:.1f} s, {amount_text(self._bytes[0] / elapsed_s)}/s"

    def _show(self, size_bytes: int) -> None:
        if self._bar is not None:
            elapsed_s = max(self._now() - self._started_s, 1e-3)
            self._bar.set_description_str(
                f"{self._files[0]:,}/{self._files[1]:,} files ", refresh=False
            )
            self._bar.set_postfix_str(f"{self._bytes[0] / elapsed_s / 1e9:.2f} GB/s", refresh=False)
            self._bar.update(size_bytes)
            if self._files[0] == self._files[1]:
                self._bar.refresh()
        elif not self._is_quiet and self._now() - self._shown_s >= _LINE_AFTER_S:
            self._shown_s = self._now()
            write_note(self._line())

    def _line(self) -> str:
        (files, all_files), (done, total) = self._files, self._bytes
        elapsed_s = max(self._now() - self._started_s, 1e-3)
        size, left = amount_text(done), ""
        if total is not None:
            size = f"{size} of {amount_text(total)}"
            left = f", {elapsed_s * (total - done) / done:.0f} s left" if done else ""
        return f"{files:,} of {all_files:,} files, {size}, {amount_text(done / elapsed_s)}/s{left}"


@contextmanager
def transfer_progress(*, quiet: bool) -> Iterator[TransferProgress]:
    """Show how far a transfer is: a bar on stderr if that is a terminal, else lines."""
    progress = TransferProgress(_bar if sys.stderr.isatty() else None, is_quiet=quiet)
    try:
        yield progress
    finally:
        progress.close()


def _bar(total: int | None) -> tqdm:  # type: ignore[type-arg]
    from tqdm import tqdm

    return tqdm(
        total=total,
        unit="B",
        unit_scale=True,
        leave=False,
        bar_format=_FORMAT_WITHOUT_TOTAL if total is None else _FORMAT,
    )
