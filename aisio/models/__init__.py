"""Models: the files of a model as a folder, with its large files in shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.models.connector import ModelConnector
    from aisio.models.directory import ModelDirectory
    from aisio.models.options import MemoryOptions

__all__ = ["MemoryOptions", "ModelConnector", "ModelDirectory"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.models.connector": ("ModelConnector",),
        "aisio.models.directory": ("ModelDirectory",),
        "aisio.models.options": ("MemoryOptions",),
    },
)
