"""Progress bars: off by default, and shown on a terminal only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def with_progress(
    items: Iterator[T], *, show: bool, title: str, unit: str, position: int = 0
) -> Iterator[T]:
    """Return the items, which count themselves on stderr if that is a terminal.

    Args:
        items: What to yield.
        show: False returns the items as they are.
        title: Text before the bar.
        unit: What is counted, in the singular.
        position: Line of the bar, so that several workers do not write over each other.
    """
    return _counted(items, title, unit, position) if show else items


def _counted(items: Iterator[T], title: str, unit: str, position: int) -> Iterator[T]:
    from tqdm import tqdm

    # disable=None: tqdm's own way to say "only on a terminal".
    with tqdm(
        items, desc=title, unit=f" {unit}", position=position, disable=None, leave=False
    ) as bar:
        yield from bar
