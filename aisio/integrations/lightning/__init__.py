"""Data modules and checkpoints for Lightning. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.integrations.lightning.checkpoint_io import AISCheckpointIO
    from aisio.integrations.lightning.data_module import DataModule
    from aisio.integrations.lightning.pickle_shards import pickles_to_tars
    from aisio.integrations.lightning.pickled_data import PickledDataWDS
    from aisio.integrations.lightning.split import Split
    from aisio.integrations.lightning.web_data_module import WebDataModule

__all__ = [
    "AISCheckpointIO",
    "DataModule",
    "PickledDataWDS",
    "Split",
    "WebDataModule",
    "pickles_to_tars",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "aisio.integrations.lightning.checkpoint_io": ("AISCheckpointIO",),
        "aisio.integrations.lightning.data_module": ("DataModule",),
        "aisio.integrations.lightning.pickle_shards": ("pickles_to_tars",),
        "aisio.integrations.lightning.pickled_data": ("PickledDataWDS",),
        "aisio.integrations.lightning.split": ("Split",),
        "aisio.integrations.lightning.web_data_module": ("WebDataModule",),
    },
)
