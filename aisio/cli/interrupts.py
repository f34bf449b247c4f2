"""Ctrl-C ends a command soon, also where threads wait for a server that has stalled.

Those threads write into files and buffers. So what they belong to waits for them when it is left,
until the server answers or a timeout ends their wait. A library has to. A program need not: once
it has had a moment to clean up, it removes the files that it has not finished, and ends.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from aisio.atomic_write import remove_own_partials

__all__ = ["INTERRUPTED", "interrupts_end_soon"]

INTERRUPTED = 130
"""The status that a shell reports for a program ended by SIGINT: 128 + 2."""

_CLEAN_UP_S = 1.5


@contextmanager
def interrupts_end_soon(clean_up_s: float = _CLEAN_UP_S) -> Iterator[None]:
    """Have Ctrl-C end this process, at the latest a moment after it has raised KeyboardInterrupt.

    Only where Python raises KeyboardInterrupt anyway: not in a thread, nor where a program that
    runs a command has its own handler, nor in a forked child.

    Args:
        clean_up_s: How long the moment is.
    """
    process = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            timer = threading.Timer(clean_up_s, _end)
            timer.daemon = True
            with suppress(RuntimeError):  # the system has no thread left
                timer.start()
        signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end() -> None:
    remove_own_partials()
    os._exit(INTERRUPTED)
