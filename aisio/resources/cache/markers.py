"""The marker beside a cache entry: what was verified, and how it looked on the disk then.

A marker lets the next load answer without hashing. It holds a stamp of the downloaded file and of
each result that was made from it:

file    size, inode and change time (ctime); an edit, a cut or a replacement changes one of them. Of
        a link those of the file that it leads to
folder  the change times of the folders in it; adding or removing a member changes its folder's. An
        edit inside a member changes none: a re-check finds that. Of a folder with very many folders
        the first 1,000 are looked at, those near the top first, so that the answer takes no longer

The change time moves with the modification time, but no program can set it back, as rsync, tar and
`touch -r` do with the other. It also moves with permissions, owner and names: after a chmod the
next load hashes once. The device is not compared: hosts that share a cache by NFS number it apart.

Whoever can write to the cache can write a marker too: it guards against accidents, not attackers.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

import msgspec

from aisio.resources.cache.disk import sync
from aisio.resources.cache.own_files import new_file, read_regular

__all__ = ["Marker", "Stamp", "new_marker", "read_marker", "stamp_of", "write_marker"]

_FORMAT = 2
_MOST_FOLDERS = 1000
_LONGEST_MARKER_BYTES = 16 * 1024 * 1024


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """How a file or folder looks on the disk.

    Attributes:
        size_bytes: Of a file; -1: a folder.
        inode: Its number.
        times: Change time in ns: of the file; else of the folders, first the folder itself.
        folders: Paths of the other folders in it, in the order of their times.
    """

    size_bytes: int
    inode: int
    times: tuple[int, ...]
    folders: tuple[str, ...] = ()

    def fits(self, path: str) -> bool:
        """Tell whether the file or folder still looks like this; no errors."""
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path takes longer
            size_bytes = -1 if stat.S_ISDIR(status.st_mode) else status.st_size
            if (size_bytes, status.st_ino, status.st_ctime_ns) != (
                self.size_bytes,
                self.inode,
                self.times[0],
            ):
                return False
            return all(
                os.lstat(f"{path}/{folder}").st_ctime_ns == time
                for folder, time in zip(self.folders, self.times[1:], strict=True)
            )
        except (OSError, ValueError, IndexError):
            return False


class Marker(msgspec.Struct, frozen=True):
    """What was verified.

    Attributes:
        format: Of this file.
        name: Of the entry.
        sha256: Digest of the downloaded file, as a catalog writes it; "": not known.
        file: Stamp of the downloaded file.
        results: Name of a result beside it -> its stamp; the last one marked comes last.
    """

    format: int
    name: str
    sha256: str
    file: Stamp
    results: dict[str, Stamp]


def stamp_of(path: Path) -> Stamp:
    """Return how a file or folder looks now.

    Raises:
        OSError: There is none.
    """
    status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        return Stamp(status.st_size, status.st_ino, (status.st_ctime_ns,))
    times, folders = [status.st_ctime_ns], []
    waiting = deque([""])
    while waiting and len(times) <= _MOST_FOLDERS:
        for name in _folders_in(path, waiting.popleft()):
            waiting.append(name)
            folders.append(name)
            times.append(os.lstat(path / name).st_ctime_ns)
    stop = _MOST_FOLDERS
    return Stamp(-1, status.st_ino, tuple(times[: stop + 1]), tuple(folders[:stop]))


def _folders_in(root: Path, below: str) -> list[str]:
    with os.scandir(root / below) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [f"{below}/{name}" if below else name for name in sorted(names)]


def read_marker(file: Path, name: str) -> Marker | None:
    """Return a marker, or None where there is none that can be trusted for this entry."""
    try:
        text = read_regular(file, _LONGEST_MARKER_BYTES)
        marker = None if text is None else msgspec.json.decode(text, type=Marker)
    except (ValueError, msgspec.DecodeError):  # in older versions no ValueError
        return None
    if marker is None:
        return None
    return marker if marker.format == _FORMAT and marker.name == name else None


def write_marker(file: Path, marker: Marker) -> None:
    """Put a marker in place, all of it or nothing, after what it speaks of is on the disk.

    Raises:
        OSError: It cannot be written.
    """
    partial = file.with_name(f"{file.name}-new")
    try:
        with os.fdopen(new_file(partial), "wb") as new:
            new.write(msgspec.json.encode(marker))
        sync(partial)
        partial.replace(file)
        sync(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def new_marker(name: str, sha256: str, file: Stamp, results: dict[str, Stamp]) -> Marker:
    """Return a marker of the present format."""
    return Marker(_FORMAT, name, sha256, file, results)
