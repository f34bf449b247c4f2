"""The progress of a command: one bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING

from aisio.cli.output import is_quiet, write_note
from aisio.escapes import one_line
from aisio.summary import size_text

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Progress", "show_progress"]

_LINE_AFTER_S = 10.0
_BAR_AFTER_S = 0.1
_FORMAT = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_FORMAT_WITHOUT_TOTAL = "{desc}{n_fmt} [{elapsed}{postfix}]"


class Progress:
    """Counts bytes, and files if there are any, and shows them now and then; threads may share one.

    Args:
        title: Text before the numbers.
        is_terminal: Show a bar, which `close` removes; else a line now and then.
        is_silent: Show nothing.
        now: A clock that never goes back, in seconds.

    Attributes:
        files: How many files are done.
        size_bytes: How many bytes are done.
    """

    def __init__(
        self,
        title: str = "",
        *,
        is_terminal: bool,
        is_silent: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files = self.size_bytes = 0
        self._title = f"{one_line(title)}: " if title else ""
        self._is_terminal = is_terminal
        self._is_silent = is_silent
        self._now = now
        self._lock = threading.Lock()
        self._bar: tqdm | None = None  # type: ignore[type-arg]
        self._totals: tuple[int | None, int | None] = (None, None)
        self._started_s = self._shown_s = now()

    def begin(self, files: int | None, size_bytes: int | None) -> None:
        """Start to count and to show.

        Args:
            files: How many files there will be; None if there are none, or nobody knows.
            size_bytes: How many bytes there will be; None if nobody knows.
        """
        self.files = self.size_bytes = 0
        self._totals = (files, size_bytes)
        self._started_s = self._now()
        self._shown_s = -inf if self._is_terminal else self._started_s

    def add(self, size_bytes: int, files: int = 0) -> None:
        """Count what was done; a negative number of bytes where they are done again."""
        with self._lock:
            self.size_bytes += size_bytes
            self.files += files
            self._show()

    def finish_file(self) -> None:
        """Count a file that was done."""
        self.add(0, 1)

    def update_to(self, size_bytes: int, total: int | None = None) -> None:
        """Tell how many bytes are done in all.

        Args:
            size_bytes: They.
            total: How many there will be, where that was not known at the start.
        """
        if total is not None and self._totals[1] is None:
            self.begin(None, total)
        self.add(size_bytes - self.size_bytes)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, more than 0."""
        return max(self._now() - self._started_s, 1e-3)

    @property
    def rate_text(self) -> str:
        """The speed so far, as in "830.0 MB/s"."""
        return f"{size_text(round(self.size_bytes / self.elapsed_s))}/s"

    def _show(self) -> None:
        now_s = self._now()
        if now_s - self._shown_s < (_BAR_AFTER_S if self._is_terminal else _LINE_AFTER_S):
            return
        self._shown_s = now_s
        if self._is_silent:
            return
        if self._is_terminal:
            self._update_bar()
        else:
            write_note(self._line())

    def _update_bar(self) -> None:
        bar = self._bar = self._bar or _new_bar(self._totals[1])
        bar.set_description_str(f"{self._title}{self._files_text('/')} ", refresh=False)
        rate = self.size_bytes / self.elapsed_s / 1e9
        bar.set_postfix_str(f"{rate:.2f} GB/s", refresh=False)
        bar.n = self.size_bytes
        bar.refresh()

    def _files_text(self, of: str) -> str:
        total = self._totals[0]
        if total is None:
            return f"{self.files:,} files" if self.files else ""
        return f"{self.files:,}{of}{total:,} files"

    def _line(self) -> str:
        done, total = self.size_bytes, self._totals[1]
        size, left = size_text(done), ""
        if total is not None:
            size = f"{size} of {size_text(total)}"
            left = f"{self.elapsed_s * (total - done) / done:.0f} s left" if done else ""
        parts = (self._files_text(" of "), size, self.rate_text, left)
        return self._title + ", ".join(filter(None, parts))


@contextmanager
def show_progress(title: str = "", size_bytes: int | None = None) -> Iterator[Progress]:
    """Show how far a command is, on stderr, unless --quiet leaves it out.

    Args:
        title: Text before the numbers.
        size_bytes: How many bytes there will be, if that is known; `begin` may tell later.
    """
    progress = Progress(title, is_terminal=sys.stderr.isatty(), is_silent=is_quiet())
    progress.begin(None, size_bytes)
    try:
        yield progress
    finally:
        progress.close()


def _new_bar(total: int | None) -> tqdm:  # type: ignore[type-arg]
    from tqdm import tqdm

    columns, lines = _size_of_unsized_terminal()
    return tqdm(
        ncols=columns,
        nrows=lines,
        total=total,
        unit="B",
        unit_scale=True,
        leave=False,
        bar_format=_FORMAT_WITHOUT_TOTAL if total is None else _FORMAT,
    )


def _size_of_unsized_terminal() -> tuple[int | None, int | None]:
    """Return usual columns and lines where the terminal has none: tqdm would show nothing.

    Pseudo-terminals have none until a program sets them, as in some containers.
    """
    with suppress(OSError):  # it is no terminal
        if 0 in os.get_terminal_size(sys.stderr.fileno()):
            return 80, 24
    return None, None
