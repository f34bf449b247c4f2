"""The output of commands: lines and JSON on stdout, notes and progress on stderr."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, TypeVar

import click

from aisio.cli.standard_streams import binary_stdout, redirect_to_devnull
from aisio.escapes import SURROGATE_ESCAPES, one_line
from aisio.redaction import redacted

if TYPE_CHECKING:
    from aisio.records import ByteRange
    from aisio.transport.body import Body

F = TypeVar("F", bound=Callable[..., Any])

_KEPT_IN_LINES = SURROGATE_ESCAPES | {"\t"}
_COPY_BYTES = 1024 * 1024
_QUIET = "aisio.quiet"
"""What the root context's `meta` has for --quiet."""


def printable(text: str) -> str:
    """Return text as one line; bytes that are not UTF-8 are left to `write_lines`."""
    return one_line(text, keep=SURROGATE_ESCAPES)


def write_note(text: str, *more: str) -> None:
    """Write a note to stderr, on one line, without credentials.

    Args:
        text: The note.
        more: Further lines, indented.
    """
    lines = [one_line(redacted(line)) for line in (text, *more)]
    try:
        click.echo("aisio: " + "\n  ".join(lines), err=True)
    except OSError:  # stderr has no reader; the exit status still reports the error
        redirect_to_devnull(sys.stderr)


class _NoteHandler(logging.Handler):
    """Writes each log record as a note."""

    def emit(self, record: logging.LogRecord) -> None:
        write_note(record.getMessage())


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Write warnings to stderr as notes, and log records too unless logging is configured."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        write_note(f"warning: {message}")

    saved = warnings.showwarning, logging.lastResort
    warnings.showwarning, logging.lastResort = show, _NoteHandler(logging.WARNING)
    try:
        yield
    finally:
        warnings.showwarning, logging.lastResort = saved


@contextmanager
def log_on_stderr(name: str) -> Iterator[None]:
    """Write to stderr, as notes, what a package logs at INFO and above."""
    log, handler = logging.getLogger(name), _NoteHandler()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def write_lines(lines: Iterable[str], *, flush: bool = False) -> None:
    """Write lines to stdout; the first is flushed at once, the others as the buffer fills.

    Args:
        lines: Text; control characters except tabs are escaped. Bytes of a local name that are not
            UTF-8 are written as they are, except to a terminal, which gets them escaped.
        flush: Flush each line, as for a terminal.
    """
    with binary_stdout() as out:
        is_terminal = out.isatty()
        flush = flush or is_terminal
        kept = "\t" if is_terminal else _KEPT_IN_LINES
        for number, line in enumerate(lines):
            escaped = one_line(line, keep=kept)
            out.write(f"{escaped}\n".encode("utf-8", "surrogateescape"))
            if flush or number == 0:
                out.flush()


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, in ASCII."""
    return json.dumps(value)


def json_option(text: str) -> Callable[[F], F]:
    """Return a decorator that adds `--json` to a command, with this help."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def plot_option(text: str) -> Callable[[F], F]:
    """Return a decorator that adds `--plot FILE` to a command as `picture`, with this help."""
    path = click.Path(dir_okay=False, path_type=Path)
    return click.option("--plot", "picture", metavar="FILE", type=path, help=text)


def exact_size_text(size_bytes: int | None) -> str:
    """Return a size with thousands separators; "-" if it is not known."""
    return "-" if size_bytes is None else f"{size_bytes:,}"


def human_size_text(size_bytes: int | None) -> str:
    """Return a size in the largest unit below it, powers of 1,024: "987", "1.2K", "3.0G"."""
    if size_bytes is None:
        return "-"
    size, units = float(size_bytes), "KMGTPE"
    if size < 1024:
        return str(size_bytes)
    for unit in units:
        size /= 1024
        if size < 1023.95 or unit == units[-1]:
            break
    return f"{size:.1f}{unit}"


def is_quiet() -> bool:
    """Tell whether --quiet leaves out summaries and progress."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.find_root().meta.get(_QUIET))


def write_summary(text: str) -> None:
    """Write a note on what was done, unless --quiet leaves it out."""
    if not is_quiet():
        write_note(text)


def add_quiet_option(command: click.Command) -> None:
    """Add --quiet to a command and to all commands of a group, unless one has it."""
    for other in command.commands.values() if isinstance(command, click.Group) else ():
        add_quiet_option(other)
    if any("--quiet" in option.opts for option in command.params):
        return

    def set_quiet(context: click.Context, _: click.Parameter, quiet: bool) -> None:
        if quiet:
            context.find_root().meta[_QUIET] = True

    option = click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=set_quiet,
        help="No progress and no summary; errors and warnings only.",
    )
    command.params.append(option)


def time_text(seconds: float) -> str:
    """Return a Unix time as UTC in ISO 8601, or in seconds if datetime cannot hold it."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s since 1970"


def byte_range_of(start: int | None, stop: int | None) -> ByteRange | None:
    """Return the byte range of --start and --stop; None for the whole object.

    Raises:
        UsageError: The range is empty.
    """
    from aisio.records import ByteRange

    if stop is not None and stop <= (start or 0):
        raise click.UsageError(f"--start {start} --stop {stop}: there is no byte between them")
    return None if start is None and stop is None else ByteRange(start or 0, stop)


def copy(body: Body, out: BinaryIO, show: Callable[[int], None] | None = None) -> None:
    """Copy a body to a file.

    Args:
        body: The body; its last read raises if the bytes are not the ones that the store promised.
        out: Where to write.
        show: Called with the number of bytes copied so far.
    """
    done = 0
    while data := body.read(_COPY_BYTES):
        out.write(data)
        done += len(data)
        if show:
            show(done)
