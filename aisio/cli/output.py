"""What commands write: lines and JSON on stdout, notes and progress on stderr."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import click

_ESCAPES = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]}


def printable(text: str) -> str:
    r"""Return text as one line, control characters as \x0a: a terminal might obey them."""
    return text if text.isprintable() else text.translate(_ESCAPES)


def tell(text: str) -> None:
    """Write a note to stderr."""
    click.echo(f"aisio: {text}", err=True)


class _Teller(logging.Handler):
    """Writes what is logged as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(printable(record.getMessage()))


@contextmanager
def told_what_is_logged(name: str) -> Iterator[None]:
    """Write to stderr what a package logs, from INFO on."""
    log, teller = logging.getLogger(name), _Teller()
    level = log.level
    log.addHandler(teller)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(teller)
        log.setLevel(level)


@contextmanager
def binary_stdout() -> Iterator[BinaryIO]:
    """Open stdout for bytes, buffered whatever PYTHONUNBUFFERED says; a line each would be slow."""
    stream = sys.stdout.buffer
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        yield stream
        return
    with os.fdopen(descriptor, "wb", closefd=False) as out:
        yield out


def write_lines(lines: Iterable[str], *, at_once: bool = False) -> None:
    """Write lines to stdout: the first one at once, the others as the buffer fills.

    Args:
        lines: Text without line ends; what is not UTF-8 in a local name goes out as it came in.
        at_once: Write each line at once, as is done on a terminal.
    """
    with binary_stdout() as out:
        at_once = at_once or out.isatty()
        for number, line in enumerate(lines):
            out.write(f"{line}\n".encode("utf-8", "surrogateescape"))
            if at_once or number == 0:
                out.flush()


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, in ASCII."""
    return json.dumps(value)


def size_text(size_bytes: int | None) -> str:
    """Return a size with thousands apart; "-" where it is not known."""
    return "-" if size_bytes is None else f"{size_bytes:,}"


@contextmanager
def byte_progress(total: int | None, title: str) -> Iterator[Callable[[int], None]]:
    """Show a bar of bytes on stderr if that is a terminal.

    Args:
        total: Bytes at the end; None if that is not known.
        title: Text before the bar.

    Yields:
        A function that is told how many bytes are done in all.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from tqdm import tqdm

    bar = tqdm(total=total, desc=printable(title), unit="B", unit_scale=True, leave=False)

    def show(done: int) -> None:
        bar.update(done - bar.n)

    with bar:
        yield show
