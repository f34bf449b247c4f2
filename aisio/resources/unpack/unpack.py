"""Archives -> folders, compressed files -> files: safely, and named as pooch names them.

A result is made under another name and renamed, so what has the final name is whole. One that is
there already is compared with the archive, byte for byte, and kept with whatever else lies in it:
programs put their indexes beside the data.

Source:
    pooch 1.8.2, `Untar`, `Unzip` and `Decompress`, for the names of results.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from aisio.catalog.entries import Resource
from aisio.resources.cache.disk import clear_errors
from aisio.resources.cache.side_files import (
    OLD,
    UNPACKING,
    beside,
    remove,
    take_away,
)
from aisio.resources.unpack.archives import compare_members, write_members
from aisio.resources.unpack.compressed import Limits, compare_file, write_file

__all__ = ["ENDINGS", "Kind", "how_to", "is_complete", "kind_of", "result_of", "unpack"]

Kind: TypeAlias = Literal["none", "tar", "zip", "gzip", "bzip2", "xz"]

ENDINGS: dict[str, Kind] = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.bz2": "tar",
    ".tbz2": "tar",
    ".tar.xz": "tar",
    ".txz": "tar",
    ".zip": "zip",
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
}
"""What a file is by the longest of these that its name ends with."""

_SUFFIXES = {
    "tar": ".untar",
    "zip": ".unzip",
    "gzip": ".decomp",
    "bzip2": ".decomp",
    "xz": ".decomp",
}


def kind_of(filename: str) -> Kind:
    """Tell what a file is by the longest known ending of its name."""
    ending = max((end for end in ENDINGS if filename.endswith(end)), key=len, default="")
    return ENDINGS.get(ending, "none")


def how_to(filename: str, resource: Resource) -> Kind:
    """Tell what is to be made of a download.

    Args:
        filename: Its name; the longest known ending decides, so x.v2.tar.gz is a tar.
        resource: `unpack: false` leaves a tar or zip as it is, `decompress: false` a compressed
            file; neither speaks of the other kind.
    """
    kind = kind_of(filename)
    wanted = resource.unpack if kind in ("tar", "zip") else resource.decompress
    return "none" if wanted is False else kind


def result_of(path: Path, kind: Kind) -> Path:
    """Return where a download's result belongs: the path itself where nothing is made of it."""
    return path if kind == "none" else beside(path, _SUFFIXES[kind])


def unpack(path: Path, kind: Kind, *, limits: Limits | None = None) -> Path:
    """Make a download's result, or keep the one that is there if it holds all that it must.

    The caller holds the entry's lock. Nothing is written outside the result, whatever the archive
    says, and nothing is left under the final name where this fails.

    Args:
        path: The download.
        kind: From `how_to`.
        limits: The most that it may unpack to.

    Returns:
        The folder or file, as `result_of` names it.

    Raises:
        ArchiveError: It is damaged, over a limit, or a member would lead out of the folder.
        AccessError: A PermissionError: it cannot be written there.
        OSError: The disk is full.
    """
    limits = limits or Limits()
    result = result_of(path, kind)
    if kind == "none" or is_complete(path, kind, limits=limits):
        return result
    partial, old = beside(path, UNPACKING), beside(path, OLD)
    with clear_errors("unpacking", path):
        remove(partial)
        try:
            if kind in ("tar", "zip"):
                partial.mkdir()
                write_members(path, kind, partial, limits)
            else:
                write_file(path, kind, partial, limits)
            take_away(result, old, partial)
        except BaseException:
            remove(partial)
            raise
    return result


def is_complete(path: Path, kind: Kind, *, limits: Limits | None = None) -> bool:
    """Tell whether a download's result is there and equal to what is in it, byte for byte.

    What lies in a folder besides the members does not count, nor do times and permissions.

    Raises:
        ArchiveError: As for `unpack`.
    """
    result = result_of(path, kind)
    if kind == "none" or not os.path.lexists(result):
        return kind == "none" and result.is_file()
    if kind in ("tar", "zip"):
        return compare_members(path, kind, result, limits or Limits())
    return compare_file(path, kind, result, limits or Limits())
