"""Data modules for Lightning. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.integrations.lightning.data_module import DataModule

__all__ = ["DataModule"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"aisio.integrations.lightning.data_module": ("DataModule",)}
)
