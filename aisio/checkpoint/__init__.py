"""Checkpoints as files of any store, and distributed ones. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.checkpoint.dcp.file_system import FileSystem
    from aisio.checkpoint.dcp.reader import StorageReader
    from aisio.checkpoint.dcp.retention import checkpoints, latest, remove_old, remove_unfinished
    from aisio.checkpoint.dcp.writer import StorageWriter
    from aisio.checkpoint.streams import Checkpoint, CheckpointReader

__all__ = [
    "Checkpoint",
    "CheckpointReader",
    "FileSystem",
    "StorageReader",
    "StorageWriter",
    "checkpoints",
    "latest",
    "remove_old",
    "remove_unfinished",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.checkpoint.dcp.file_system": ("FileSystem",),
        "aisio.checkpoint.dcp.reader": ("StorageReader",),
        "aisio.checkpoint.dcp.retention": (
            "checkpoints",
            "latest",
            "remove_old",
            "remove_unfinished",
        ),
        "aisio.checkpoint.dcp.writer": ("StorageWriter",),
        "aisio.checkpoint.streams": ("Checkpoint", "CheckpointReader"),
    },
)
