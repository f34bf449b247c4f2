"""Stdin, stdout and stderr, which may be closed, or broken pipes."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO


def hold_closed_descriptors() -> None:
    """Occupy those of stdin, stdout and stderr that are closed, as by `>&-`.

    The next file or connection to be opened would take their number, and get what is written to
    them. They are held such that their use is an error: none can be read, or written to.
    """
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free, which is this one
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - nobody is told, which is no failure


def binary_stdin() -> BinaryIO:
    """Return stdin for bytes.

    Raises:
        OSError: It is closed.
    """
    if sys.stdin is None:
        raise _closed("stdin")
    return sys.stdin.buffer


def require_stdout() -> None:
    """Check that there is a stdout.

    Raises:
        OSError: It is closed.
    """
    if sys.stdout is None:
        raise _closed("stdout")


def _closed(name: str) -> OSError:
    return OSError(errno.EBADF, "it is closed", name)


@contextmanager
def binary_stdout() -> Iterator[BinaryIO]:
    """Open stdout for bytes, buffered whatever PYTHONUNBUFFERED says; a line each would be slow.

    Raises:
        OSError: It is closed, or cannot be written to.
    """
    require_stdout()
    stream = sys.stdout.buffer
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        yield stream
        return
    with os.fdopen(descriptor, "wb", closefd=False) as out:
        yield out


def stdout_has_no_reader() -> bool:
    """Tell whether stdout is a pipe whose reader has gone."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or not a file
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def discard(stream: TextIO | None) -> None:
    """Let what a broken pipe still holds go nowhere, or Python complains of it as it ends."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
