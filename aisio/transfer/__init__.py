"""Copying, moving and synchronizing objects and files. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.transfer.comparison import Difference, DifferenceKind, compare_trees
    from aisio.transfer.jobs import Action, Outcome
    from aisio.transfer.options import Report, TransferOptions
    from aisio.transfer.transfers import copy, move, sync

__all__ = [
    "Action",
    "Difference",
    "DifferenceKind",
    "Outcome",
    "Report",
    "TransferOptions",
    "compare_trees",
    "copy",
    "move",
    "sync",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.transfer.comparison": ("Difference", "DifferenceKind", "compare_trees"),
        "aisio.transfer.jobs": ("Action", "Outcome"),
        "aisio.transfer.options": ("Report", "TransferOptions"),
        "aisio.transfer.transfers": ("copy", "move", "sync"),
    },
)
