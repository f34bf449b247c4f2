"""The folder that processes publish in."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from aisio.config import FALSE_WORDS, TRUE_WORDS, absolute_folder, first_set

__all__ = ["default_top_folder", "top_folder"]


def top_folder() -> Path | None:
    """Return the folder that AISIO_TOP asks to publish numbers in; None for none."""
    text = first_set("AISIO_TOP") or ""
    if not text or text.lower() in FALSE_WORDS:
        return None
    return default_top_folder() if text.lower() in TRUE_WORDS else absolute_folder(text)


def default_top_folder() -> Path:
    """Return where numbers are published by default: shared memory, else the temporary files'."""
    shared = Path("/dev/shm")  # noqa: S108 - for folders that only their user can read
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
