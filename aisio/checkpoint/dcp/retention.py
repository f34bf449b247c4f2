"""Which checkpoints are below a URL, and which of them are kept.

A folder with `.metadata` is a checkpoint. One without is unfinished, or being written by another
job: what is said here of old checkpoints leaves it alone.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator

from aisio.checkpoint.dcp.place import METADATA_NAME, CheckpointPlace, StoreFinder
from aisio.checkpoint.dcp.stored_metadata import read_metadata, referenced_files
from aisio.client.client import Client
from aisio.errors import AisioError, ConfigError, NotFoundError
from aisio.limits import is_positive, is_whole
from aisio.records import ObjectInfo
from aisio.stores import DirectSettings
from aisio.urls import FILE, ObjectUrl

__all__ = ["checkpoints", "latest", "remove_old", "remove_unfinished"]

_log = logging.getLogger(__name__)
_FILE = re.compile(r"__\d+_\d+(\.[0-9a-f]{16})?\.distcp")


def checkpoints(
    url: str,
    *,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
) -> list[str]:
    """Return the URLs of the finished checkpoints below a URL, the oldest first.

    They are told apart by their names, whose numbers count as numbers: step-900 is older than
    step-1000. Times of stores are not used: AIStore has those of the last access.

    Args:
        url: A bucket, or a prefix that ends with a folder, as in "ais://models/run/".
        client: The cluster; by default one made from `endpoint`.
        endpoint: The cluster's URL; by default AIS_ENDPOINT.
        direct: Reach clouds directly even if there is a cluster; settings say how.

    Raises:
        UrlError: The URL is not valid.
        NotFoundError: There is no such bucket.
    """
    return [str(place.url) for place in _finished(StoreFinder(client, endpoint, direct), url)]


def latest(
    url: str,
    *,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
) -> str | None:
    """Return the URL of the newest finished checkpoint, or None; otherwise as `checkpoints`."""
    found = checkpoints(url, client=client, endpoint=endpoint, direct=direct)
    return found[-1] if found else None


def remove_old(
    url: str,
    *,
    keep: int,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
) -> list[str]:
    """Remove all finished checkpoints below a URL but the newest ones.

    Of each, `.metadata` is removed first, and then the files that it names: nobody takes what is
    left for a checkpoint. Nothing else is removed, so what another job is writing stays. Call it in
    one process.

    Args:
        url: As for `checkpoints`.
        keep: How many are kept; at least 1.
        client: As for `checkpoints`.
        endpoint: As for `checkpoints`.
        direct: As for `checkpoints`.

    Returns:
        The URLs of those that were removed.

    Raises:
        ConfigError: `keep` is below 1.
        IntegrityError: One cannot be read: nothing of it is removed.
    """
    if not is_whole(keep, 1):
        raise ConfigError(f"{keep=!r}: expected a whole number of at least 1")
    removed = []
    for place in _finished(StoreFinder(client, endpoint, direct), url)[:-keep]:
        _remove(place)
        removed.append(str(place.url))
    return removed


def remove_unfinished(
    url: str,
    *,
    older_than_s: float = 86_400,
    client: Client | None = None,
    endpoint: str | None = None,
    direct: bool | DirectSettings = False,
) -> int:
    """Remove files of checkpoints that no `.metadata` names; return how many.

    Saves that failed or were killed leave them behind. Those of a save that goes on are younger.
    Uploads that never became files: see `Checkpoint.remove_unfinished`.

    Args:
        url: As for `checkpoints`.
        older_than_s: Leave those that were written less than so many seconds ago. Those of which
            the store does not say when they were written stay, too.
        client: As for `checkpoints`.
        endpoint: As for `checkpoints`.
        direct: As for `checkpoints`.

    Raises:
        ConfigError: The age is not above zero.
        IntegrityError: `.metadata` of a checkpoint cannot be read: nothing is removed.
    """
    if not is_positive(older_than_s):
        raise ConfigError(f"{older_than_s=!r}: expected a number above zero")
    finder = StoreFinder(client, endpoint, direct)
    before_s = time.time() - older_than_s
    old = [info for info in _files(finder, url) if 0 < info.mtime_s <= before_s]
    named = {
        str(place.file_url(name))
        for place in _finished(finder, url)
        for name in referenced_files(read_metadata(place)[0])
    }
    count = 0
    for info in old:
        if _FILE.fullmatch(info.name.rpartition("/")[2]) and info.url not in named:
            file = ObjectUrl.parse(info.url)
            finder.store(file).delete(file, missing_ok=True)
            count += 1
    return count


def _files(finder: StoreFinder, url: str) -> Iterator[ObjectInfo]:
    """List the objects below a folder, whether or not its URL ends with "/".

    A local folder that is not there yet has none, as a prefix of a bucket.
    """
    place = finder.place(url)
    name = place.url.name
    try:
        yield from place.store.list(place.url.with_name(f"{name}/" if name else ""))
    except NotFoundError:
        if place.url.provider != FILE:
            raise


def _finished(finder: StoreFinder, url: str) -> list[CheckpointPlace]:
    found = []
    for info in _files(finder, url):
        if info.name.rpartition("/")[2] == METADATA_NAME:
            found.append(finder.place(info.url.removesuffix(METADATA_NAME)))
    return sorted(found, key=lambda place: _by_numbers(place.url.name))


def _by_numbers(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which the numbers in names are compared as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def _remove(place: CheckpointPlace) -> None:
    try:
        names = referenced_files(read_metadata(place)[0])
    except NotFoundError:  # another process has removed it
        return
    place.store.delete(place.metadata_url, missing_ok=True)
    for name in sorted(names):
        try:
            place.store.delete(place.file_url(name), missing_ok=True)
        except AisioError as error:
            _log.warning("%s could not be removed, and belongs to no checkpoint: %s", name, error)
