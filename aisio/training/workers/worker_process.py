"""Ends a DataLoader worker when the process that started it has died.

torch's workers look after their parent only while they wait for work. One that was just sending a
batch when the parent was killed fills the pipe, waits for a reader, and never ends: its brothers
and itself hold the pipe open.
"""

from __future__ import annotations

import multiprocessing
import os
import threading

__all__ = ["end_with_parent"]

_POLL_S = 1.0
"""Where the parent's end shows nowhere else, it shows in the number of the parent process."""


def end_with_parent() -> None:
    """End this worker, from now on, when the process that started it has ended."""
    threading.Thread(target=_watch_parent, name="aisio-parent", daemon=True).start()


def _watch_parent() -> None:
    parent, parent_id = multiprocessing.parent_process(), os.getppid()
    while parent is not None and parent.is_alive() and os.getppid() == parent_id:
        parent.join(_POLL_S)
    os._exit(1)
