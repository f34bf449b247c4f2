"""Stdin, stdout and stderr; each may be closed, or a pipe without a reader."""

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


def reserve_closed_descriptors() -> None:
    """Reserve the descriptors of stdin, stdout and stderr that the shell has closed, as by `>&-`.

    The next file or connection that is opened would otherwise get such a number, and with it what
    is written to stdout or stderr. Each is opened in the wrong direction, so that using it fails.
    """
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the kernel takes the lowest free number: this one
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open until the end


def binary_stdin() -> BinaryIO:
    """Return stdin as a binary file.

    Raises:
        OSError: Stdin is closed.
    """
    if sys.stdin is None:
        raise _closed_error("stdin")
    return sys.stdin.buffer


def require_stdout() -> None:
    """Check that stdout is open.

    Raises:
        OSError: Stdout is closed.
    """
    if sys.stdout is None:
        raise _closed_error("stdout")


def _closed_error(name: str) -> OSError:
    return OSError(errno.EBADF, "it is closed", name)


@contextmanager
def binary_stdout() -> Iterator[BinaryIO]:
    """Open stdout as a buffered binary file.

    It is buffered even if PYTHONUNBUFFERED is set: a system call for each line would be slow.

    Raises:
        OSError: Stdout is closed, or cannot be written to.
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
    """Return whether stdout is a pipe whose reader has exited."""
    try:
        descriptor = sys.stdout.fileno()
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # closed, or not a real file
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def redirect_to_devnull(stream: TextIO | None) -> None:
    """Send what is still buffered to /dev/null; else Python reports a broken pipe as it exits."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
