"""The files that lie beside a cache entry, by their endings."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

MARKER = ".aisio-verified"
LOCK = ".aisio-lock"
HOLDER = ".aisio-holder"
IN_USE = ".aisio-in-use"
UNPACKING = ".aisio-unpacking"
OLD = ".aisio-old"
BIONEMO_MARKER = ".checked"
RESULTS = (".untar", ".unzip", ".decomp")


def beside(path: Path, suffix: str) -> Path:
    """Return the path of an entry's side file."""
    return path.with_name(path.name + suffix)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all in it; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def take_away(result: Path, old: Path, new: Path | None = None) -> None:
    """Remove a file or folder so that its name is never that of half of it.

    Args:
        result: What to remove.
        old: A name that it has meanwhile.
        new: What is to have its name, at once: others may be looking.
    """
    remove(old)
    with suppress(FileNotFoundError):
        result.replace(old)
    if new is not None:
        new.replace(result)
    remove(old)
