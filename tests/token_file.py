"""Files of tokens, as a program writes them that renews tokens."""

from __future__ import annotations

import json
from pathlib import Path


def write_token(file: Path, token: str) -> Path:
    """Replace a token file at once; return it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"token": token}))
    return new.replace(file)
