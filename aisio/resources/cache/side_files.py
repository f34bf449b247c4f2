"""The files beside a cache entry: the endings of their names, and how they are replaced."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

MARKER = ".aisio-verified"
NEW_MARKER = f"{MARKER}-new"
LOCK = ".aisio-lock"
LOCK_HOLDER = ".aisio-holder"
IN_USE = ".aisio-in-use"
UNPACKING = ".aisio-unpacking"
OLD = ".aisio-old"
BIONEMO_MARKER = ".checked"
RESULTS = (".untar", ".unzip", ".decomp")


def side_file(path: Path, suffix: str) -> Path:
    """Return the path of a file beside an entry."""
    return path.with_name(path.name + suffix)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its content; do nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def swap_or_remove(path: Path, old: Path, new: Path | None = None) -> None:
    """Replace or remove a file or folder so that its name never has half of its content.

    Args:
        path: The file or folder to replace or remove; there may be none.
        old: The name that it gets while it is removed.
        new: The file or folder that gets the name `path` at once, as other processes may read it.
    """
    remove(old)
    with suppress(FileNotFoundError):
        path.replace(old)
    if new is not None:
        new.replace(path)
    remove(old)
