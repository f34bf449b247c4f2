"""What a forked child has of its parent."""

from __future__ import annotations

import os


def is_open_in_a_child(descriptor: int) -> bool:
    """Fork, and tell whether the child has the descriptor open."""
    pid = os.fork()
    if not pid:
        try:
            os.fstat(descriptor)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
