"""What a cache holds, told by names and looks alone: nothing is hashed here."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aisio.files import PARTIAL_SUFFIX
from aisio.resources.cache.cache import Cache
from aisio.resources.cache.side_files import (
    BIONEMO_MARKER,
    HOLDER,
    IN_USE,
    LOCK,
    MARKER,
    OLD,
    UNPACKING,
)
from aisio.resources.unpack.unpack import kind_of, result_of

__all__ = ["Entry", "digest_in_name", "entries", "entry_of", "is_forgotten", "size_of"]

_DIGEST_DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_ENTRY = re.compile(r"(?:None|(?:([A-Za-z0-9_]+):)?([0-9A-Fa-f]+))-.", re.DOTALL)
_SIDES = (MARKER, f"{MARKER}-new", LOCK, HOLDER, IN_USE, UNPACKING, OLD)
_FORGOTTEN = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(PARTIAL_SUFFIX)}")


@dataclass(frozen=True)
class Entry:
    """A download and all that lies beside it.

    Attributes:
        path: Of the download, whether it is there or not.
        size_bytes: Of all its files.
        used: When it was used last, in seconds since 1970.
        state: verified: a load answers at once. unverified: it is hashed first. partial: the
            beginning of a download. leftover: results without their download.
    """

    path: Path
    size_bytes: int
    used: float
    state: Literal["verified", "unverified", "partial", "leftover"]


def entries(cache: Cache) -> list[Entry]:
    """Return the entries of a cache by name; files that are nobody's are left out.

    Raises:
        OSError: The folder is there and cannot be read.
    """
    found = [_entry(cache, name, files) for name, files in sorted(_files(cache).items())]
    return [entry for entry in found if entry is not None]


def entry_of(cache: Cache, name: str) -> Entry | None:
    """Return one entry as it is now; None where there is nothing of it."""
    return _entry(cache, name, _files(cache).get(name, []))


def _files(cache: Cache) -> dict[str, list[Path]]:
    """Return the files of each entry, without its locks."""
    files: dict[str, list[Path]] = {}
    with suppress(FileNotFoundError):
        for path in cache.folder.iterdir():
            owner = _owner(path.name)
            if owner is not None and not path.name.endswith((LOCK, HOLDER, IN_USE)):
                files.setdefault(owner, []).append(path)
    return files


def _entry(cache: Cache, name: str, files: list[Path]) -> Entry | None:
    path = cache.folder / name
    times = [time for file in files if (time := _modified(file))]
    if not times:
        return None
    size_bytes = sum(size_of(file) for file in files)
    return Entry(path, size_bytes, _last_use(path, times), _state(cache, path, files))


def digest_in_name(name: str) -> str | None:
    """Return the digest that an entry's name holds, as catalogs write it; None without one."""
    match = _ENTRY.match(name)
    if match is None or match[2] is None:
        return None
    return f"{match[1]}:{match[2]}" if match[1] else match[2]


def is_forgotten(name: str) -> bool:
    """Tell whether a file is one that a process was writing when it was killed, if it is old."""
    return _FORGOTTEN.fullmatch(name) is not None


def _owner(name: str) -> str | None:
    """Return the name of the entry that a file belongs to; None: it is not the cache's."""
    owner = name
    if name.startswith(".") and name.endswith(PARTIAL_SUFFIX):
        owner = name[1 : -len(PARTIAL_SUFFIX)].removesuffix(".json")
    elif ".aisio-" in name:
        side = next((side for side in _SIDES if name.endswith(side)), None)
        owner = name.removesuffix(side) if side else ""
    elif name.endswith(BIONEMO_MARKER):
        owner = name.removesuffix(BIONEMO_MARKER)
    else:
        owner = _archive_of(name)
    return owner if _is_entry(owner) else None


def _archive_of(name: str) -> str:
    """Return the name of the download that a result was made from, or the name itself."""
    base = name.rpartition(".")[0]
    return base if result_of(Path(base), kind_of(base)).name == name else name


def _is_entry(name: str) -> bool:
    match = _ENTRY.match(name)
    if match is None:
        return False
    algorithm, digits = match[1] or "sha256", match[2]
    return digits is None or _DIGEST_DIGITS.get(algorithm.lower()) == len(digits)


def _modified(path: Path) -> float:
    """Return when a file was modified, in seconds; 0 where it has gone meanwhile."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder; 0 where there is none."""
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


def _is_there(path: Path) -> bool:
    """Tell whether there is a file, be it one that may not be looked at, as behind a link."""
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
    if _is_there(path):
        marker = cache.marker(path)
        fits = marker is not None and marker.file.fits(str(path))
        if marker is None or not fits:
            return "unverified"
        results = marker.results.items()
        whole = all(stamp.fits(str(path.with_name(name))) for name, stamp in results)
        return "verified" if whole else "unverified"
    is_partial = any(file.name.endswith(PARTIAL_SUFFIX) for file in files)
    return "partial" if is_partial else "leftover"
