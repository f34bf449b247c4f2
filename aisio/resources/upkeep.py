"""Upkeep of a cache: hash every download again, and remove what was not used for long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from aisio.atomic_write import PARTIAL_SUFFIX
from aisio.errors import AccessError, ArchiveError, ConfigError
from aisio.resources.cache.cache import Cache
from aisio.resources.cache.disk import explain_disk_errors
from aisio.resources.cache.in_use import is_in_use, keep_unused
from aisio.resources.cache.side_files import (
    BIONEMO_MARKER,
    MARKER,
    NEW_MARKER,
    UNPACKING,
    remove,
    side_file,
)
from aisio.resources.download.digests import parse_digest
from aisio.resources.inventory import Entry, digest_in_name, find_entry, is_abandoned, list_entries
from aisio.resources.unpack.unpack import is_complete, kind_of, result_of

__all__ = ["MIN_AGE_S", "Finding", "prune", "verify"]

MIN_AGE_S = 600.0
"""`prune` leaves an entry alone for so many seconds after its last load."""


@dataclass(frozen=True)
class Finding:
    """What `verify` found of an entry.

    Attributes:
        path: Path of the download.
        problem: What is wrong with it; "" for nothing.
        skipped: Why it was not checked; "" if it was.
    """

    path: Path
    problem: str = ""
    skipped: str = ""


def verify(
    cache: Cache,
    *,
    remove_wrong: bool = False,
    on_hashed: Callable[[int], object] = lambda size_bytes: None,
) -> Iterator[Finding]:
    """Hash every download of a cache, and compare what was unpacked from it byte for byte.

    A wrong entry loses its marker, so the next load downloads it again. Where the catalog has no
    digest, the next load cannot know, and takes a file that is not removed. An entry that cannot be
    read is reported, and left as it is.

    Args:
        cache: The cache.
        remove_wrong: Remove wrong downloads and results too, also those in use.
        on_hashed: Called with the size of each piece of a download after it was hashed.

    Yields:
        A finding for each entry with a download.
    """
    for entry in list_entries(cache):
        if entry.state in ("verified", "unverified"):
            with ExitStack() as lock:
                try:
                    lock.enter_context(cache.lock(entry.path, wait=False))
                except BlockingIOError as error:
                    yield Finding(entry.path, skipped=str(error))
                    continue
                except AccessError:
                    pass  # in a folder that cannot be written, nobody changes the entry
                finding = _check(cache, entry.path, remove_wrong, on_hashed)
            yield finding


def _check(
    cache: Cache, path: Path, remove_wrong: bool, on_hashed: Callable[[int], object]
) -> Finding:
    try:
        problem, skipped = _digest_problem(cache, path, on_hashed)
        download_is_wrong = bool(problem)
        problem = problem or _result_problem(path)
    except FileNotFoundError:
        return Finding(path, skipped="it was removed meanwhile")
    except OSError as error:
        return Finding(path, f"it cannot be checked: {error}")
    if not problem:
        return Finding(path, skipped=skipped)
    with suppress(AccessError, OSError):
        side_file(path, MARKER).unlink(missing_ok=True)
        side_file(path, BIONEMO_MARKER).unlink(missing_ok=True)
    try:
        if remove_wrong:
            cache.invalidate(path)
        if remove_wrong and download_is_wrong:
            path.unlink(missing_ok=True)
    except OSError as error:
        problem = f"{problem}; it cannot be removed: {error}"
    return Finding(path, problem)


def _digest_problem(
    cache: Cache, path: Path, on_hashed: Callable[[int], object]
) -> tuple[str, str]:
    """Return what is wrong with a download, and why it cannot be checked; "" for nothing."""
    marker = cache.marker(path)
    text = digest_in_name(path.name) or (marker.sha256 if marker else "")
    if not text:
        return "", "no digest of it is known"
    try:
        digest = parse_digest(text)
    except ConfigError as error:
        return "", str(error)
    actual = digest.hash_file(path, on_hashed)
    if digest.matches(actual):
        return "", ""
    return f"{digest.algorithm} of its bytes: expected {digest.value}, got {actual}", ""


def _result_problem(path: Path) -> str:
    kind = kind_of(path.name)
    result = result_of(path, kind)
    try:
        if os.path.lexists(result) and not is_complete(path, kind):
            return f"{result.name} is not what the download unpacks to"
    except ArchiveError as error:
        return str(error)
    return ""


def prune(
    cache: Cache,
    max_size_bytes: int,
    *,
    min_age_s: float = MIN_AGE_S,
    dry_run: bool = False,
) -> list[Entry]:
    """Remove the entries that were used longest ago, until the rest is small enough.

    Three kinds of entries stay: those that a process works on; those that a running process has
    loaded (see in_use.py); and those that were loaded a short while ago, as a program that got the
    path may not have opened it yet. Files that belong to no entry are left alone.

    Args:
        cache: The cache.
        max_size_bytes: Size of all entries that may stay.
        min_age_s: Leave an entry alone for so many seconds after its last load.
        dry_run: Only return which entries would be removed.

    Returns:
        The removed entries, in the order of their removal.

    Raises:
        AccessError: A PermissionError: the folder cannot be written.
    """
    cutoff = time.time() - min_age_s
    if not dry_run:
        _remove_abandoned(cache, cutoff)
    entries = sorted(list_entries(cache), key=lambda entry: entry.last_used)
    size_bytes = sum(entry.size_bytes for entry in entries)
    removed = []
    for entry in entries:
        if size_bytes <= max_size_bytes:
            break
        if entry.last_used > cutoff:
            continue
        if not is_in_use(entry.path) if dry_run else _remove_entry(cache, entry, cutoff):
            size_bytes -= entry.size_bytes
            removed.append(entry)
    return removed


def _remove_entry(cache: Cache, entry: Entry, cutoff: float) -> bool:
    """Remove an entry unless it is in use, or was used meanwhile; return whether it was removed."""
    path = entry.path
    try:
        with cache.lock(path, wait=False), explain_disk_errors("removing", path), keep_unused(path):
            now = find_entry(cache, path.name)
            if now is None or now.last_used > cutoff:
                return False
            # The marker first and the download last: a marker never names a missing file.
            cache.invalidate(path)
            remove(side_file(path, UNPACKING))
            side_file(path, NEW_MARKER).unlink(missing_ok=True)
            for middle in ("", ".json"):
                path.with_name(f".{path.name}{middle}{PARTIAL_SUFFIX}").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            return True
    except BlockingIOError:
        return False


def _remove_abandoned(cache: Cache, cutoff: float) -> None:
    with suppress(FileNotFoundError), explain_disk_errors("removing from", cache.folder):
        for path in cache.folder.iterdir():
            if is_abandoned(path.name) and path.lstat().st_mtime <= cutoff:
                path.unlink(missing_ok=True)
