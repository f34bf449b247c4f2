"""Publisher: a thread that writes the numbers of its process into a file, once a second."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import util
from pathlib import Path

from aisio.redaction import redacted
from aisio.temporary_folders import make_owned_folder, remove_owned_folder

__all__ = ["FILE", "KIND", "VERSION", "Publisher"]

KIND, FILE = "top", "process.json"
"""What the folders are of, and the file in each of them."""

VERSION = 1
"""Of the form of that file."""

_FIRST_S, _INTERVAL_S = 0.1, 1.0
_RATE_SECONDS = 5
"""Rates are those of so many seconds: a slow trainer gets less than a batch in each of them."""

_JOIN_S = 1.0
_log = logging.getLogger("aisio.top")


class Publisher:
    """Writes the numbers of this process until it ends.

    Where they cannot be written, a warning says so once, and the job goes on. They are written
    again when that works. If their folder was removed, the publishing ends.

    Args:
        parent: The folder to make the process's own folder in.
        snapshot: Returns all counters.
        state: Returns what the process is and waits for.
        interval_s: How often to write.
    """

    def __init__(
        self,
        parent: Path,
        snapshot: Callable[[], Mapping[str, float]],
        state: Callable[[], Mapping[str, object]],
        *,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._parent = parent
        self._snapshot = snapshot
        self._state = state
        self._interval_s = interval_s
        self._owned: tuple[str, int] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._forks = 0
        self._warned = False
        # A signal handler may fork in the thread that holds it.
        self._thread_lock = threading.RLock()
        self._lock = threading.Lock()
        self._started = time.time()
        self._history: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=_RATE_SECONDS + 1)

    def start(self) -> None:
        """Begin. What cannot be published is a warning."""
        try:
            self._owned = make_owned_folder(KIND, parent=str(self._parent))
        except OSError as error:
            _log.warning("not shown in aisio top: %s: %s", self._parent, error.strerror)
            return
        # Not atexit: workers of multiprocessing end without it, but run these.
        util.Finalize(None, self.close, exitpriority=-90)
        self._history.append((time.monotonic(), self._snapshot()))
        self._start_thread()

    def pause(self) -> None:
        """End the thread before a fork: Python warns of a fork beside one."""
        with self._thread_lock:
            self._forks += 1
        self._end_thread()

    def resume(self) -> None:
        """Go on after a fork, unless another thread forks too."""
        with self._thread_lock:
            self._forks = max(0, self._forks - 1)  # 0 if this began to publish amid the fork
            if self._owned is not None and not self._forks:
                self._start_thread()

    def _start_thread(self) -> None:
        with self._thread_lock:
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="aisio-top", daemon=True
                )
                self._thread.start()

    def _end_thread(self) -> None:
        with self._thread_lock:
            thread, self._thread = self._thread, None
            self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def leave(self) -> None:
        """In a forked child, leave the folder to its owner: a copy would keep it locked."""
        if self._owned is not None:
            with suppress(OSError):
                os.close(self._owned[1])

    def close(self) -> None:
        """End the thread, and remove the folder."""
        self._end_thread()
        owned, self._owned = self._owned, None
        if owned is not None:
            remove_owned_folder(*owned)

    def _run(self, stop: threading.Event) -> None:
        # Not at once: a process says after its first read what it is.
        wait_s = min(_FIRST_S, self._interval_s)
        while not stop.wait(wait_s):
            wait_s = self._interval_s
            try:
                self.write()
            except FileNotFoundError:
                _log.warning("no longer shown in aisio top: %s was removed", self._parent)
                self.close()
            except OSError as error:
                # As long as shared memory is full: a job's batches may be there too.
                if not self._warned:
                    _log.warning("not shown in aisio top: %s: %s", self._parent, error.strerror)
                self._warned = True

    def write(self) -> None:
        """Write the numbers as they are now; nothing, if nothing is published.

        Raises:
            OSError: They cannot be written.
        """
        with self._lock:
            if self._owned is not None:
                self._write(Path(self._owned[0]))

    def _write(self, folder: Path) -> None:
        new = folder / "new"
        # Not atomic_write: nothing here needs to survive a power failure.
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(self._record()).encode())
        new.replace(folder / FILE)

    def _record(self) -> dict[str, object]:
        now, totals = time.monotonic(), self._snapshot()
        self._history.append((now, totals))
        then, before = self._history[0]
        state = dict(self._state())
        state["blocked_on"] = redacted(str(state["blocked_on"]))
        parent = multiprocessing.parent_process()
        return {
            "version": VERSION,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            # That of the process which started a worker, also where a fork server made it.
            "parent": os.getppid() if parent is None else parent.pid,
            "command": redacted(" ".join(map(_as_text, sys.argv))),
            "started": self._started,
            "time": time.time(),
            "seconds": now - then,
            "totals": dict(totals),
            "before": dict(before),
            **state,
        }


def _as_text(word: object) -> str:
    return str(word)[:200]
