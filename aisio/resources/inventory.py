"""The entries of a cache, from file names, sizes and times alone: nothing is hashed here."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.resources.cache.cache import Cache
from aisio.resources.cache.side_files import (
    BIONEMO_MARKER,
    IN_USE,
    LOCK,
    LOCK_HOLDER,
    MARKER,
    NEW_MARKER,
    OLD,
    UNPACKING,
)
from aisio.resources.unpack.unpack import kind_of, result_of

__all__ = ["Entry", "digest_in_name", "list_entries", "find_entry", "is_abandoned", "size_of"]

_DIGEST_DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_ENTRY = re.compile(r"(?:None|(?:([A-Za-z0-9_]+):)?([0-9A-Fa-f]+))-.", re.DOTALL)
_SIDE_SUFFIXES = (MARKER, NEW_MARKER, LOCK, LOCK_HOLDER, IN_USE, UNPACKING, OLD)
_ABANDONED = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(PARTIAL_SUFFIX)}")


@dataclass(frozen=True)
class Entry:
    """A download and the files beside it.

    Attributes:
        path: Path of the download, which need not exist.
        size_bytes: Size of all its files.
        last_used: When it was used last, in seconds since 1970.
        state: verified: a load returns it at once. unverified: a load hashes it first. partial: an
            unfinished download. leftover: results without their download.
    """

    path: Path
    size_bytes: int
    last_used: float
    state: Literal["verified", "unverified", "partial", "leftover"]


def list_entries(cache: Cache) -> list[Entry]:
    """Return the entries of a cache, sorted by name; files that belong to none are left out.

    Raises:
        OSError: The folder exists and cannot be read.
    """
    entries = [_entry(cache, name, files) for name, files in sorted(_files(cache).items())]
    return [entry for entry in entries if entry is not None]


def find_entry(cache: Cache, name: str) -> Entry | None:
    """Return one entry as it is now; None where it has no files."""
    return _entry(cache, name, _files(cache).get(name, []))


def _files(cache: Cache) -> dict[str, list[Path]]:
    """Return the files of each entry by its name, without its locks."""
    files: dict[str, list[Path]] = {}
    with suppress(FileNotFoundError):
        for path in cache.folder.iterdir():
            name = _entry_name(path.name)
            if name is not None and not path.name.endswith((LOCK, LOCK_HOLDER, IN_USE)):
                files.setdefault(name, []).append(path)
    return files


def _entry(cache: Cache, name: str, files: list[Path]) -> Entry | None:
    path = cache.folder / name
    times = [time for file in files if (time := _modified(file))]
    if not times:
        return None
    size_bytes = sum(size_of(file) for file in files)
    return Entry(path, size_bytes, _last_use(path, times), _state(cache, path, files))


def digest_in_name(name: str) -> str | None:
    """Return the digest in the name of an entry, as catalogs write it; None without one."""
    match = _ENTRY.match(name)
    if match is None or match[2] is None:
        return None
    return f"{match[1]}:{match[2]}" if match[1] else match[2]


def is_abandoned(name: str) -> bool:
    """Return whether an old file of this name is what a killed process was writing."""
    return _ABANDONED.fullmatch(name) is not None


def _entry_name(name: str) -> str | None:
    """Return the name of the entry that a file belongs to; None for another program's file."""
    if name.startswith(".") and name.endswith(PARTIAL_SUFFIX):
        entry = name[1 : -len(PARTIAL_SUFFIX)].removesuffix(".json")
    elif ".aisio-" in name:
        side = next((side for side in _SIDE_SUFFIXES if name.endswith(side)), None)
        entry = name.removesuffix(side) if side else ""
    elif name.endswith(BIONEMO_MARKER):
        entry = name.removesuffix(BIONEMO_MARKER)
    else:
        entry = _download_name(name)
    return entry if _is_entry_name(entry) else None


def _download_name(name: str) -> str:
    """Return the name of the download that a result was made from, or the name itself."""
    base = name.rpartition(".")[0]
    return base if result_of(Path(base), kind_of(base)).name == name else name


def _is_entry_name(name: str) -> bool:
    match = _ENTRY.match(name)
    if match is None:
        return False
    algorithm, digits = match[1] or "sha256", match[2]
    return digits is None or _DIGEST_DIGITS.get(algorithm.lower()) == len(digits)


def _modified(path: Path) -> float:
    """Return when a file was modified, in seconds since 1970; 0 where it was removed meanwhile."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files of a folder, in bytes; 0 where there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    total = 0
    for folder, _, files in os.walk(path):
        total += sum(size_of(Path(folder, file)) for file in files)
    return total


def _may_be_file(path: Path) -> bool:
    """Return whether a file exists, or cannot be looked at, as behind a link."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _last_use(path: Path, times: list[float]) -> float:
    marked = _modified(path.with_name(path.name + MARKER))
    return marked or max(times)


def _state(
    cache: Cache, path: Path, files: list[Path]
) -> Literal["verified", "unverified", "partial", "leftover"]:
    if _may_be_file(path):
        marker = cache.marker(path)
        if marker is None or not marker.file.matches(str(path)):
            return "unverified"
        stamps = marker.results.items()
        is_unchanged = all(stamp.matches(str(path.with_name(name))) for name, stamp in stamps)
        return "verified" if is_unchanged else "unverified"
    is_partial = any(file.name.endswith(PARTIAL_SUFFIX) for file in files)
    return "partial" if is_partial else "leftover"
