"""A bar for the bytes of one download: on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aisio.resources.download.download import Show


@contextmanager
def byte_bar(title: str, *, show: bool) -> Iterator[Show | None]:
    """Give what shows a bar, from the first bytes on; None where nobody would see it.

    Args:
        title: Text before the bar.
        show: False: there is none.
    """
    if not show or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    bars: list[Any] = []

    def move(done: int, size: int | None) -> None:
        if not bars:
            title_line = title if title.isprintable() else ascii(title)
            bars.append(tqdm(desc=title_line, unit="B", unit_scale=True, leave=False))
        bars[0].total = size
        bars[0].update(done - bars[0].n)

    try:
        yield move
    finally:
        for bar in bars:
            bar.close()
