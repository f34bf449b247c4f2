"""The marker beside a cache entry: what was verified, and how it looked on the disk then.

With a marker the next load answers without hashing. The marker holds a stamp of the downloaded file
and of each result that was made from it:

file    size, inode and change time (ctime): an edit, a truncation or a replacement changes one of
        them. For a link it is the stamp of the file that the link points to.
folder  the change times of the folders in it: adding or removing a member changes its folder's. An
        edit inside a member changes none of them; a recheck finds that. Of a folder with very many
        folders the first 1,000 are looked at, those near the top first, so that a load stays fast.

The change time moves with the modification time, but no program can set it back, as rsync, tar and
`touch -r` do with the other. It also moves with permissions, owner and names: after a chmod the
next load hashes once. The device is not compared: hosts that share a cache by NFS number it apart.

Whoever can write to the cache can also write a marker: it protects from accidents, not attackers.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

import msgspec

from aisio.resources.cache.disk import sync
from aisio.resources.cache.own_files import create_file, read_regular_file

__all__ = ["Marker", "Stamp", "new_marker", "read_marker", "stamp_of", "write_marker"]

_FORMAT = 2
_MAX_FOLDERS = 1000
_MAX_MARKER_BYTES = 16 * 1024 * 1024


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """How a file or folder looks on the disk.

    Attributes:
        size_bytes: Size of the file; -1 for a folder.
        inode: Inode number.
        times: Change times in ns: of the file, or of the folder and then the folders in it.
        folders: Relative paths of the folders in it, in the order of their times.
    """

    size_bytes: int
    inode: int
    times: tuple[int, ...]
    folders: tuple[str, ...] = ()

    def matches(self, path: str) -> bool:
        """Return whether the file or folder still looks like this; raises no errors."""
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path is slower
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
        format: Version of this format.
        name: Name of the entry.
        sha256: Digest of the downloaded file, as a catalog writes it; "" if unknown.
        file: Stamp of the downloaded file.
        results: Stamp of each result by its name; the one that was marked last comes last.
    """

    format: int
    name: str
    sha256: str
    file: Stamp
    results: dict[str, Stamp]


def stamp_of(path: Path) -> Stamp:
    """Return how a file or folder looks now.

    Raises:
        OSError: It does not exist.
    """
    status = path.stat()
    if not stat.S_ISDIR(status.st_mode):
        return Stamp(status.st_size, status.st_ino, (status.st_ctime_ns,))
    times, folders = [status.st_ctime_ns], []
    to_visit = deque([""])
    while to_visit and len(times) <= _MAX_FOLDERS:
        for name in _subfolders(path, to_visit.popleft()):
            to_visit.append(name)
            folders.append(name)
            times.append(os.lstat(path / name).st_ctime_ns)
    return Stamp(-1, status.st_ino, tuple(times[: _MAX_FOLDERS + 1]), tuple(folders[:_MAX_FOLDERS]))


def _subfolders(root: Path, folder: str) -> list[str]:
    with os.scandir(root / folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [f"{folder}/{name}" if folder else name for name in sorted(names)]


def read_marker(file: Path, name: str) -> Marker | None:
    """Return the marker of an entry, or None where there is no valid one."""
    try:
        text = read_regular_file(file, _MAX_MARKER_BYTES)
        marker = None if text is None else msgspec.json.decode(text, type=Marker)
    except (ValueError, msgspec.DecodeError):  # no ValueError in older msgspec
        return None
    if marker is None or (marker.format, marker.name) != (_FORMAT, name):
        return None
    return marker


def write_marker(file: Path, marker: Marker) -> None:
    """Write a marker, all of it or nothing; what it describes must be on the disk already.

    Raises:
        OSError: It cannot be written.
    """
    partial = file.with_name(f"{file.name}-new")
    try:
        with os.fdopen(create_file(partial), "wb") as new:
            new.write(msgspec.json.encode(marker))
        sync(partial)
        partial.replace(file)
        sync(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def new_marker(name: str, sha256: str, file: Stamp, results: dict[str, Stamp]) -> Marker:
    """Return a marker of the current format."""
    return Marker(_FORMAT, name, sha256, file, results)
