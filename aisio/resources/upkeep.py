"""Upkeep of a cache: hash everything anew, and make room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from aisio.errors import AccessError, ArchiveError, ConfigError
from aisio.files import PARTIAL_SUFFIX
from aisio.resources.cache.cache import Cache
from aisio.resources.cache.disk import clear_errors
from aisio.resources.cache.in_use import is_held, unused
from aisio.resources.cache.side_files import (
    BIONEMO_MARKER,
    MARKER,
    UNPACKING,
    beside,
    remove,
)
from aisio.resources.download.digests import parse_digest
from aisio.resources.inventory import Entry, digest_in_name, entries, entry_of, is_forgotten
from aisio.resources.unpack.unpack import is_complete, kind_of, result_of

__all__ = ["SPARED_S", "Finding", "prune", "verify"]

SPARED_S = 600.0
"""Seconds since its last load for which `prune` leaves an entry alone."""


@dataclass(frozen=True)
class Finding:
    """What `verify` found of an entry.

    Attributes:
        path: Of the download.
        problem: What is wrong with it; "": nothing.
        skipped: Why it was not looked at; "": it was.
    """

    path: Path
    problem: str = ""
    skipped: str = ""


def verify(
    cache: Cache,
    *,
    remove_wrong: bool = False,
    tell: Callable[[int], object] = lambda size_bytes: None,
) -> Iterator[Finding]:
    """Hash every download of a cache and compare what was unpacked from it, byte for byte.

    A wrong one loses its marker, so the next load gets it anew; where the catalog has no digest,
    the next load cannot tell, and takes what is not removed. One that cannot be read is reported,
    and left as it is.

    Args:
        cache: Where.
        remove_wrong: Remove wrong downloads and results as well, also those in use.
        tell: Is told of each piece of a download, by its size, when it was hashed.
    """
    for entry in entries(cache):
        if entry.state in ("verified", "unverified"):
            with ExitStack() as held:
                try:
                    held.enter_context(cache.lock(entry.path, wait=False))
                except BlockingIOError as error:
                    yield Finding(entry.path, skipped=str(error))
                    continue
                except AccessError:
                    pass  # Where nothing can be written, nobody changes it either.
                finding = _check(cache, entry.path, remove_wrong, tell)
            yield finding


def _check(cache: Cache, path: Path, remove_wrong: bool, tell: Callable[[int], object]) -> Finding:
    try:
        problem, skipped = _digest_problem(cache, path, tell)
        download_is_wrong = bool(problem)
        problem = problem or _result_problem(path)
    except FileNotFoundError:
        return Finding(path, skipped="it was removed meanwhile")
    except OSError as error:
        return Finding(path, f"it cannot be checked: {error}")
    if not problem:
        return Finding(path, skipped=skipped)
    with suppress(AccessError, OSError):
        beside(path, MARKER).unlink(missing_ok=True)
        beside(path, BIONEMO_MARKER).unlink(missing_ok=True)
    try:
        if remove_wrong:
            cache.forget(path)
        if remove_wrong and download_is_wrong:
            path.unlink(missing_ok=True)
    except OSError as error:
        problem = f"{problem}; it cannot be removed: {error}"
    return Finding(path, problem)


def _digest_problem(cache: Cache, path: Path, tell: Callable[[int], object]) -> tuple[str, str]:
    """Return what is wrong with a download, and why that cannot be said."""
    marker = cache.marker(path)
    text = digest_in_name(path.name) or (marker.sha256 if marker else "")
    if not text:
        return "", "no digest of it is known"
    try:
        digest = parse_digest(text)
    except ConfigError as error:
        return "", str(error)
    got = digest.of_file(path, tell)
    if digest.fits(got):
        return "", ""
    return f"{digest.algorithm} of its bytes: expected {digest.value}, got {got}", ""


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
    spared_s: float = SPARED_S,
    dry_run: bool = False,
) -> list[Entry]:
    """Remove entries, those used longest ago first, until the rest is small enough.

    An entry that a process works on is passed over, and so is one that a process has loaded which
    still runs (see in_use.py), or that was loaded a short while ago: who was given its path may not
    have opened it yet. Files that are not the cache's are left alone.

    Args:
        cache: Where.
        max_size_bytes: Of what is left.
        spared_s: Seconds since its last load for which an entry is left alone.
        dry_run: Only tell which they would be.

    Returns:
        What was removed, in that order.

    Raises:
        AccessError: A PermissionError: the folder cannot be written.
    """
    before = time.time() - spared_s
    if not dry_run:
        _remove_forgotten(cache, before)
    found = sorted(entries(cache), key=lambda entry: entry.used)
    size_bytes = sum(entry.size_bytes for entry in found)
    removed = []
    for entry in found:
        if size_bytes <= max_size_bytes:
            break
        if entry.used > before:
            continue
        if not is_held(entry.path) if dry_run else _remove_entry(cache, entry, before):
            size_bytes -= entry.size_bytes
            removed.append(entry)
    return removed


def _remove_entry(cache: Cache, entry: Entry, before: float) -> bool:
    """Remove an entry unless it is in use or was meanwhile; tell whether it was removed."""
    path = entry.path
    try:
        with cache.lock(path, wait=False), clear_errors("removing", path), unused(path):
            now = entry_of(cache, path.name)
            if now is None or now.used > before:
                return False
            # The marker first and the download last: nothing ever speaks of what is not there.
            cache.forget(path)
            remove(beside(path, UNPACKING))
            beside(path, f"{MARKER}-new").unlink(missing_ok=True)
            for middle in ("", ".json"):
                path.with_name(f".{path.name}{middle}{PARTIAL_SUFFIX}").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            return True
    except BlockingIOError:
        return False


def _remove_forgotten(cache: Cache, before: float) -> None:
    with suppress(FileNotFoundError), clear_errors("removing from", cache.folder):
        for path in cache.folder.iterdir():
            if is_forgotten(path.name) and path.lstat().st_mtime <= before:
                path.unlink(missing_ok=True)
