"""Unpack archives to folders and compressed files to files, safely, with the names of pooch.

A result is made under another name and then renamed, so a result is always complete. One that
exists already is compared with the archive byte for byte. If it is complete it is kept, with any
other file in it: programs put their indexes beside the data.

Source:
    pooch 1.8.2, `Untar`, `Unzip` and `Decompress`, for the names of results.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from aisio.catalog.entries import Resource
from aisio.resources.cache.disk import explain_disk_errors
from aisio.resources.cache.side_files import (
    OLD,
    UNPACKING,
    remove,
    side_file,
    swap_or_remove,
)
from aisio.resources.unpack.archives import compare_members, write_members
from aisio.resources.unpack.compressed import Limits, compare_decompressed, decompress_file

__all__ = ["ENDINGS", "Kind", "unpack_kind", "is_complete", "kind_of", "result_of", "unpack"]

Kind: TypeAlias = Literal["none", "tar", "zip", "gzip", "bzip2", "xz", "zstd"]

ENDINGS: dict[str, Kind] = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.bz2": "tar",
    ".tbz2": "tar",
    ".tar.xz": "tar",
    ".txz": "tar",
    ".tar.zst": "tar",
    ".tzst": "tar",
    ".zip": "zip",
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
}
"""The kind of a file by the longest of these endings of its name."""

_RESULT_SUFFIXES = {
    "tar": ".untar",
    "zip": ".unzip",
    "gzip": ".decomp",
    "bzip2": ".decomp",
    "xz": ".decomp",
    "zstd": ".decomp",
}


def kind_of(filename: str) -> Kind:
    """Return the kind of a file by the longest known ending of its name."""
    ending = max((end for end in ENDINGS if filename.endswith(end)), key=len, default="")
    return ENDINGS.get(ending, "none")


def unpack_kind(filename: str, resource: Resource) -> Kind:
    """Return how to unpack a download.

    Args:
        filename: Its name; the longest known ending decides, so x.v2.tar.gz is a tar.
        resource: `unpack: false` leaves a tar or zip as it is, `decompress: false` a compressed
            file; neither applies to the other kind.
    """
    kind = kind_of(filename)
    is_wanted = resource.unpack if kind in ("tar", "zip") else resource.decompress
    return "none" if is_wanted is False else kind


def result_of(path: Path, kind: Kind) -> Path:
    """Return the path of a download's result: the download itself where it is not unpacked."""
    return path if kind == "none" else side_file(path, _RESULT_SUFFIXES[kind])


def unpack(path: Path, kind: Kind, *, limits: Limits | None = None) -> Path:
    """Unpack a download, or keep a result that exists and is complete.

    The caller holds the entry's lock. Nothing is written outside of the result, whatever the
    archive holds. If this fails, there is no result with the final name.

    Args:
        path: The download.
        kind: From `unpack_kind`.
        limits: How much it may unpack to.

    Returns:
        The folder or file, as `result_of` names it.

    Raises:
        ArchiveError: It is damaged, over a limit, or the path of a member leads out of the folder.
        AccessError: A PermissionError: it cannot be written there.
        OSError: The disk is full.
    """
    limits = limits or Limits()
    result = result_of(path, kind)
    if kind == "none" or is_complete(path, kind, limits=limits):
        return result
    partial, old = side_file(path, UNPACKING), side_file(path, OLD)
    with explain_disk_errors("unpacking", path):
        remove(partial)
        try:
            if kind in ("tar", "zip"):
                partial.mkdir()
                write_members(path, kind, partial, limits)
            else:
                decompress_file(path, kind, partial, limits)
            swap_or_remove(result, old, partial)
        except BaseException:
            remove(partial)
            raise
    return result


def is_complete(path: Path, kind: Kind, *, limits: Limits | None = None) -> bool:
    """Return whether a download's result exists and equals the download's content byte for byte.

    Other files in a folder do not count, nor do times and permissions.

    Raises:
        ArchiveError: As for `unpack`.
    """
    result = result_of(path, kind)
    if kind == "none" or not os.path.lexists(result):
        return kind == "none" and result.is_file()
    if kind in ("tar", "zip"):
        return compare_members(path, kind, result, limits or Limits())
    return compare_decompressed(path, kind, result, limits or Limits())
