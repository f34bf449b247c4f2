"""The old path of `aisio.training.object_datasets`, until the next release."""

from __future__ import annotations

import warnings

from aisio.training.object_datasets import AISMapDataset
from aisio.training.object_iter_dataset import AISIterDataset

__all__ = ["AISIterDataset", "AISMapDataset"]

warnings.warn(
    "aisio.datasets has moved: import its names from aisio", DeprecationWarning, stacklevel=2
)
