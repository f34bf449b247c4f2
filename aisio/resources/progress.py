"""A progress bar for the bytes of one download: on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aisio.resources.download.download import OnProgress


@contextmanager
def progress_bar(title: str, *, enabled: bool) -> Iterator[OnProgress | None]:
    """Yield a function that shows a bar from the first bytes on; None where nobody would see it.

    Args:
        title: Text before the bar.
        enabled: False: there is no bar.
    """
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    bar: Any = None

    def update(done: int, size: int | None) -> None:
        nonlocal bar
        if bar is None:
            printable_title = title if title.isprintable() else ascii(title)
            bar = tqdm(desc=printable_title, unit="B", unit_scale=True, leave=False)
        bar.total = size
        bar.update(done - bar.n)

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()
