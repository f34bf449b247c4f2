"""What is in the served folder and is no object, told in the log: once, and briefly.

A file that a listing leaves out is missing from the epoch of whoever trains with it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict

from aisio.gateway.storage.beneath import Beneath, LeadsOutError

LEADS_OUT = "links that lead out of what is served"
LEADS_NOWHERE = "links that lead to nothing that can be read"
NO_FILE = "sockets, fifos or devices"
NOT_UTF8 = "names that are not UTF-8"
TOO_DEEP = "folders whose path is too long for this system"
UNREADABLE = "folders that the gateway may not read"
IN_NO_BUCKET = "files in no bucket: the buckets are the folders at the top"
NO_BUCKET = "folders that are no buckets, by their names"

_MOST_KNOWN = 100_000
_MOST_SHOWN = 3
_log = logging.getLogger(__name__)


class LeftOut:
    """Paths that are left out; any thread may add to them.

    Args:
        most_known: How many paths to remember so that none is told twice.
    """

    def __init__(self, *, most_known: int = _MOST_KNOWN) -> None:
        self._most_known = most_known
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._new: dict[str, list[str]] = defaultdict(list)

    def add(self, path: str, why: str) -> None:
        """Note a path, counted from the served folder, and one of the reasons above."""
        with self._lock:
            if path in self._known or len(self._known) >= self._most_known:
                return
            self._known.add(path)
            self._new[why].append(path)
            if len(self._known) == self._most_known:
                self._new["and perhaps more, which are not told"].append("...")

    def tell(self) -> None:
        """Write one line about what was added since the last time, if that is anything."""
        with self._lock:
            new, self._new = self._new, defaultdict(list)
        if new:
            count = sum(map(len, new.values()))
            told = "; ".join(_describe(why, paths) for why, paths in sorted(new.items()))
            _log.warning("not served: %d names: %s", count, told)


def link_status(beneath: Beneath, path: str, left_out: LeftOut) -> os.stat_result | None:
    """Return the status of what a link leads to; None, and a note, where that cannot be served.

    Args:
        beneath: The served folder.
        path: The link, counted from there.
        left_out: What is left out.
    """
    try:
        return beneath.status(beneath.resolve(path))
    except LeadsOutError:
        left_out.add(path, LEADS_OUT)
    except OSError:
        left_out.add(path, LEADS_NOWHERE)
    return None


def _describe(why: str, paths: list[str]) -> str:
    shown = ", ".join(repr(path)[1:-1] for path in sorted(paths)[:_MOST_SHOWN])
    return f"{len(paths)} {why} ({shown}{', ...' if len(paths) > _MOST_SHOWN else ''})"
