"""What of the served folder is not an object or bucket, and is skipped: logged once, and briefly.

Who trains with a listing misses a skipped file for the whole epoch, so the log says what it was.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict

from aisio.gateway.storage.safe_opener import PathEscapesError, SafeOpener

LINK_ESCAPES = "links that lead out of what is served"
LINK_BROKEN = "links that lead to nothing that can be read"
NOT_A_FILE = "sockets, fifos or devices"
NOT_UTF8 = "names that are not UTF-8"
PATH_TOO_LONG = "folders whose path is too long for this system"
UNREADABLE = "folders that the gateway may not read"
FILE_OUTSIDE_BUCKETS = "files in no bucket: the buckets are the folders at the top"
NOT_A_BUCKET_NAME = "folders that are no buckets, by their names"

_MAX_REMEMBERED = 100_000
_MAX_SHOWN = 3
_log = logging.getLogger(__name__)


class SkippedNames:
    """Collects skipped paths by reason; any thread may add to them.

    Args:
        max_remembered: How many paths to remember, so that none of them is logged twice.
    """

    def __init__(self, *, max_remembered: int = _MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._lock = threading.Lock()
        self._remembered: set[str] = set()
        self._new: dict[str, list[str]] = defaultdict(list)

    def add(self, path: str, reason: str) -> None:
        """Note a path, counted from the served folder, and one of the reasons above."""
        with self._lock:
            if path in self._remembered or len(self._remembered) >= self._max_remembered:
                return
            self._remembered.add(path)
            self._new[reason].append(path)
            if len(self._remembered) == self._max_remembered:
                self._new["and perhaps more, which are not logged"].append("...")

    def log(self) -> None:
        """Write one line about what was added since the last call, if anything was."""
        with self._lock:
            new, self._new = self._new, defaultdict(list)
        if new:
            count = sum(map(len, new.values()))
            reasons = "; ".join(_describe(reason, paths) for reason, paths in sorted(new.items()))
            _log.warning("not served: %d names: %s", count, reasons)


def link_status(opener: SafeOpener, path: str, skipped: SkippedNames) -> os.stat_result | None:
    """Return the status of what a link leads to; None where that cannot be served.

    Args:
        opener: Opens paths of the served folder.
        path: The link, counted from the served folder.
        skipped: Where to note a link that cannot be served.
    """
    try:
        return opener.status(opener.resolve(path))
    except PathEscapesError:
        skipped.add(path, LINK_ESCAPES)
    except OSError:
        skipped.add(path, LINK_BROKEN)
    return None


def _describe(reason: str, paths: list[str]) -> str:
    shown = ", ".join(repr(path)[1:-1] for path in sorted(paths)[:_MAX_SHOWN])
    return f"{len(paths)} {reason} ({shown}{', ...' if len(paths) > _MAX_SHOWN else ''})"
