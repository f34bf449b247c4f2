"""Split: which part of the data a loader is for."""

from __future__ import annotations

from enum import Enum

__all__ = ["Split"]


class Split(Enum):
    """A part of the data; the key of what a data module is given for each part."""

    train = 1
    val = 2
    test = 3
