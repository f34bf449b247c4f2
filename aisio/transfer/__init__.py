"""Copying, moving and synchronizing objects and files. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.transfer.comparison import Difference, DifferenceKind, compare_trees

__all__ = ["Difference", "DifferenceKind", "compare_trees"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"aisio.transfer.comparison": ("Difference", "DifferenceKind", "compare_trees")},
)
