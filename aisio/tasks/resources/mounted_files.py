"""Which files a mounted folder had when it was made: a task may have changed them for the next.

mounts/DSET0a1b...           the folder
mounts/.DSET0a1b....files    JSON: size and time of the last change of each file, by its name
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from aisio.atomic_write import atomic_write
from aisio.errors import IntegrityError
from aisio.escapes import first_and_count

__all__ = ["check_files", "files_list", "record_files"]

_Files = dict[str, tuple[int, int]]
_log = logging.getLogger("aisio.tasks")


def files_list(folder: Path) -> Path:
    """Return the file that says which files a mounted folder had."""
    return folder.with_name(f".{folder.name}.files")


def record_files(folder: Path, path: Path) -> None:
    """Record which files a folder has.

    Args:
        folder: The folder.
        path: The file with the record.
    """
    with atomic_write(path) as file:
        file.write(msgspec.json.encode(_files(folder)))


def check_files(folder: Path) -> None:
    """Check that a mounted folder has the files that it had when it was made.

    Files that were added since, as programs keep their caches beside data, are a warning. A folder
    that an older version of aisio has made is not checked.

    Raises:
        IntegrityError: A file was changed or removed.
    """
    try:
        recorded = msgspec.json.decode(files_list(folder).read_bytes(), type=_Files)
    except FileNotFoundError:
        return
    except msgspec.DecodeError as error:
        raise IntegrityError(
            f"{files_list(folder)} is damaged: when no task reads {folder}, delete both"
        ) from error
    found = _files(folder)
    changed = [name for name, state in recorded.items() if found.get(name) != state]
    if changed:
        raise IntegrityError(
            f"{folder} is not as it was made: a program has changed or removed "
            f"{first_and_count(sorted(changed))}; when no task reads the folder, delete it, and it "
            f"is made again"
        )
    if added := found.keys() - recorded.keys():
        names = first_and_count(sorted(added))
        _log.warning("a program has added files to %s, which tasks see: %s", folder, names)


def _files(folder: Path) -> _Files:
    files: _Files = {}
    folders = [str(folder)]
    start = len(folders[0]) + 1
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    stat = entry.stat(follow_symlinks=False)
                    # A name that is not UTF-8 has surrogates, which JSON does not take.
                    name = entry.path[start:].encode("utf-8", "backslashreplace").decode()
                    files[name] = (stat.st_size, stat.st_mtime_ns)
    return files
