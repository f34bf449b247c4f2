"""The old path of `aisio.training.batch_dataset`, until the next release."""

from __future__ import annotations

import warnings

from aisio.training.batch_dataset import AISBatchIterDataset

__all__ = ["AISBatchIterDataset"]

warnings.warn(
    "aisio.batch_dataset has moved: import its names from aisio", DeprecationWarning, stacklevel=2
)
