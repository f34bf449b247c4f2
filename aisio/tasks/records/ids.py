"""Identifiers and names, as anylearn makes them."""

from __future__ import annotations

import hashlib
import random
import string
import uuid
from pathlib import Path

__all__ = ["name_by_path", "new_id", "random_name"]

_NAME_LENGTH = 8
_DIGITS = 28


def new_id(kind: str) -> str:
    """Return a new id: four letters for what it is ("DSET", "TRAI"), and 28 hexadecimal digits."""
    return f"{kind}{uuid.uuid4().hex[:_DIGITS]}"


def name_by_path(path: str | Path) -> str:
    """Return the name of what is at a path: its last part, and eight digits of the path's SHA-1.

    "data" and "./data" have one name; the absolute path has another.
    """
    text = str(Path(path))
    return f"{Path(path).name}-{hashlib.sha1(text.encode()).hexdigest()[:8]}"


def random_name() -> str:
    """Return eight different letters and digits."""
    return "".join(random.sample(string.ascii_lowercase + string.digits, _NAME_LENGTH))
