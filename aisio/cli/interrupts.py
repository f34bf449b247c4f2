"""Ctrl-C ends a command soon, also where threads wait for a server that has stalled.

Those threads write into files and buffers. So what they belong to waits for them when it is left,
until the server answers or a timeout ends their wait. A library has to. A program need not: once
it has had a moment to clean up, it removes the files that it has not finished, and ends.

A thread of its own learns of the signal, by the file that Python's handler writes to: Python raises
KeyboardInterrupt only when the main thread runs Python code again, and a signal that comes in the
last moment before a system call does not end that call.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from aisio import forks
from aisio.atomic_write import remove_own_partials

__all__ = ["INTERRUPTED", "interrupts_end_soon"]

INTERRUPTED = 130
"""The status that a shell reports for a program ended by SIGINT: 128 + 2."""

_CLEAN_UP_S = 1.5

_own_descriptors: set[int] = set()
"""What Python writes the numbers of signals to, while a block runs."""


@contextmanager
def interrupts_end_soon(clean_up_s: float = _CLEAN_UP_S) -> Iterator[None]:
    """Have Ctrl-C end this process, at the latest a moment after it was pressed.

    A block that ends in another way than by KeyboardInterrupt has handled it. Only where Python
    raises KeyboardInterrupt anyway: not in a thread, nor where a program that runs a command has
    its own handler, nor in a forked child.

    Args:
        clean_up_s: How long the moment is.

    Raises:
        KeyboardInterrupt: As usual; click turns it into `click.Abort`.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    handled = threading.Event()
    arguments = (reader, handled, clean_up_s)
    threading.Thread(target=_watch, args=arguments, name="aisio-interrupts", daemon=True).start()
    _own_descriptors.add(writer.fileno())
    former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    is_interrupted = False
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        is_interrupted = True
        raise
    finally:
        if not is_interrupted:
            handled.set()
        signal.set_wakeup_fd(former)
        _own_descriptors.discard(writer.fileno())
        writer.close()  # which ends the thread, unless it has read of a signal


def _watch(signals: socket.socket, handled: threading.Event, clean_up_s: float) -> None:
    """End the process after a SIGINT, unless the signal is handled or the process ends before."""
    with signals:
        while received := signals.recv(64):
            if signal.SIGINT in received:
                break
        else:
            return
    if not handled.wait(clean_up_s):
        remove_own_partials()
        os._exit(INTERRUPTED)


@forks.in_child
def _leave_to_parent() -> None:
    """In a forked child, do not report signals to the parent's thread."""
    if _own_descriptors:
        found = signal.set_wakeup_fd(-1)
        if found not in _own_descriptors:  # a command has set another one
            signal.set_wakeup_fd(found)
