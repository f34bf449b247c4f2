"""Progress bars: off unless asked for, and never where nobody sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def with_progress(
    items: Iterable[T], *, show: bool, title: str, unit: str, position: int = 0
) -> Iterator[T]:
    """Yield the items, and count them on stderr if that is a terminal.

    Args:
        items: What to yield.
        show: False yields them and nothing else.
        title: Text before the bar.
        unit: What is counted, in the singular.
        position: Line of the bar, so that several workers do not write over each other.
    """
    if not show:
        yield from items
        return
    from tqdm import tqdm

    # disable=None: tqdm's own way to say "only on a terminal".
    with tqdm(
        items, desc=title, unit=f" {unit}", position=position, disable=None, leave=False
    ) as bar:
        yield from bar
