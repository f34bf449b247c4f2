"""The progress of an upload or download of a task's data: one bar with GB/s."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from aisio.escapes import one_line

__all__ = ["upload_progress"]

_FORMAT = "{l_bar}{bar}| {n_fmt}{unit}/{total_fmt}{unit} [{elapsed}<{remaining}{postfix}]"


@contextmanager
def upload_progress(title: str) -> Iterator[Callable[[int, int], object] | None]:
    """Show a progress bar on stderr from the first bytes on, if stderr is a terminal.

    Args:
        title: Text before the bar.

    Yields:
        A function to call with the bytes that are done, and all bytes; None without a terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    bar: Any = None
    started = perf_counter()

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(
                total=total,
                desc=one_line(title),
                unit="B",
                unit_scale=True,
                leave=False,
                bar_format=_FORMAT,
            )
        elapsed_s = max(perf_counter() - started, 1e-9)
        bar.set_postfix_str(f"{done / elapsed_s / 1e9:.2f} GB/s", refresh=False)
        bar.update(done - bar.n)
        if done >= total:
            bar.refresh()

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
