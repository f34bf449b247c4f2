"""What commands write: lines and JSON on stdout, notes and progress on stderr."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import click

from aisio.cli.standard_streams import binary_stdout, discard
from aisio.escapes import ODD_BYTES, one_line
from aisio.redaction import redacted

if TYPE_CHECKING:
    from aisio.records import ByteRange
    from aisio.transport.body import Body

_IN_A_LINE = ODD_BYTES | {"\t"}
_COPY_BYTES = 1024 * 1024


def printable(text: str) -> str:
    """Return text as one line, for `write_lines`, which sees to the odd bytes of local names."""
    return one_line(text, keep=ODD_BYTES)


def tell(text: str, *more: str) -> None:
    """Write a note to stderr, on one line, without credentials.

    Args:
        text: The note.
        more: Further lines, indented.
    """
    lines = [one_line(redacted(line)) for line in (text, *more)]
    try:
        click.echo("aisio: " + "\n  ".join(lines), err=True)
    except OSError:  # nobody reads it, but there is the status
        discard(sys.stderr)


class _Teller(logging.Handler):
    """Writes what is logged as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


@contextmanager
def told_what_is_warned_of() -> Iterator[None]:
    """Write to stderr, as notes, warnings and what is logged where nobody has set up logging."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        tell(f"warning: {message}")

    saved = warnings.showwarning, logging.lastResort
    warnings.showwarning, logging.lastResort = show, _Teller(logging.WARNING)
    try:
        yield
    finally:
        warnings.showwarning, logging.lastResort = saved


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


def write_lines(lines: Iterable[str], *, at_once: bool = False) -> None:
    """Write lines to stdout: the first one at once, the others as the buffer fills.

    Args:
        lines: Text; control characters but tabs are escaped. What is not UTF-8 in a local name goes
            out as it came in, except to a terminal, which is shown an escape.
        at_once: Write each line at once, as is done on a terminal.
    """
    with binary_stdout() as out:
        is_terminal = out.isatty()
        at_once = at_once or is_terminal
        kept = "\t" if is_terminal else _IN_A_LINE
        for number, line in enumerate(lines):
            shown = one_line(line, keep=kept)
            out.write(f"{shown}\n".encode("utf-8", "surrogateescape"))
            if at_once or number == 0:
                out.flush()


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, in ASCII."""
    return json.dumps(value)


def size_text(size_bytes: int | None) -> str:
    """Return a size with thousands apart; "-" where it is not known."""
    return "-" if size_bytes is None else f"{size_bytes:,}"


def time_text(seconds: float) -> str:
    """Return a time since 1970 as UTC in ISO 8601; as seconds, where no calendar has it."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s since 1970"


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

    bar = tqdm(total=total, desc=one_line(title), unit="B", unit_scale=True, leave=False)

    def show(done: int) -> None:
        bar.update(done - bar.n)

    with bar:
        yield show


def byte_range_of(start: int | None, stop: int | None) -> ByteRange | None:
    """Return the range that --start and --stop mean; None for the whole object.

    Raises:
        UsageError: It holds no byte.
    """
    from aisio.records import ByteRange

    if stop is not None and stop <= (start or 0):
        raise click.UsageError(f"--start {start} --stop {stop}: there is no byte between them")
    return None if start is None and stop is None else ByteRange(start or 0, stop)


def copy(body: Body, out: BinaryIO, show: Callable[[int], None] | None = None) -> None:
    """Write a body out, telling `show` how far it is; at its end it raises if it is not right."""
    done = 0
    while data := body.read(_COPY_BYTES):
        out.write(data)
        done += len(data)
        if show:
            show(done)
