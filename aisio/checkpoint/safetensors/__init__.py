"""safetensors files on any store, with the functions of `safetensors.torch`."""

from __future__ import annotations

from aisio.extras import missing_extra

try:
    import torch  # noqa: F401 - what is imported below needs it
except ImportError as error:
    raise missing_extra("torch", "torch") from error

from aisio.checkpoint.safetensors.loading import load_file
from aisio.checkpoint.safetensors.safe_open import TensorSlice, safe_open
from aisio.checkpoint.safetensors.saving import save_file
from aisio.checkpoint.safetensors.sharded import load_model, load_sharded

__all__ = ["TensorSlice", "load_file", "load_model", "load_sharded", "safe_open", "save_file"]


def __dir__() -> list[str]:
    return sorted(__all__)
