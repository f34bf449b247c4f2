"""A folder of pickles, and what is in the shards that are made of it."""

from __future__ import annotations

import pickle
import tarfile
from collections.abc import Iterable
from pathlib import Path

SUFFIX = "a.pyd"
SUFFIXES = ("a.pyd", "b.pyd")


def write_pickles(folder: Path, names: Iterable[str], suffixes: Iterable[str] = SUFFIXES) -> Path:
    """Write files `{name}.{suffix}` with pickles of (name, suffix)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for suffix in suffixes:
            path = folder / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps((name, suffix)))
    return folder


def shard_names(folder: Path) -> list[str]:
    """Return all names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def members(shard: Path) -> list[tarfile.TarInfo]:
    """Return the members of a shard, as Python's tarfile reads them."""
    with tarfile.open(shard) as archive:
        return archive.getmembers()


def samples_in(shard: Path) -> int:
    """Return the number of samples in a shard."""
    return len({member.name.partition(".")[0] for member in members(shard)})


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by their names."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
