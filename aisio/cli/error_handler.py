"""Errors -> one line on stderr (several for a catalog) and an exit status.

0    success; also if the reader of stdout has exited, as in `aisio ls ... | head`
1    the command failed; `diff` and `verify`: something differs
2    the command line is invalid; `diff`: the comparison failed
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, NoReturn

import click

from aisio.cli.habits import command_hint, error_hint, usage_hint
from aisio.cli.interrupts import INTERRUPTED, interrupts_end_soon
from aisio.cli.output import warnings_on_stderr, write_note
from aisio.cli.standard_streams import (
    redirect_to_devnull,
    reserve_closed_descriptors,
    stdout_has_no_reader,
)
from aisio.errors import AisioError, CatalogError
from aisio.escapes import visible
from aisio.redaction import redacted
from aisio.sources.nothing_found import ALLOW_EMPTY_HINT


class CommandGroup(click.Group):
    """Commands in the order in which they were added; `error_handler` handles their errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; for the name that another program has for it, say what to type."""
        if ctx.parent is None and args[0] not in self.commands and (hint := command_hint(args[0])):
            raise click.UsageError(f"No such command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line. Click would report a pipe without a reader as a failure."""
        with error_handler():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Errors are handled here: click's main() takes an EOFError for Ctrl-D."""
        with error_handler(show_traceback=bool(ctx.find_root().params.get("traceback"))):
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and exit with its status."""
        reserve_closed_descriptors()
        kwargs["standalone_mode"] = False
        with warnings_on_stderr(), error_handler():
            try:
                with interrupts_end_soon():
                    status = super().main(*args, **kwargs)
            except click.Abort:
                status = INTERRUPTED
        sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def error_handler(*, show_traceback: bool = False) -> Iterator[None]:
    """Turn an error into a line on stderr and an exit status, and end the program.

    Args:
        show_traceback: Print the traceback before the line.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.Exit, click.Abort):
        raise  # click ends the program by these
    except Exception as error:
        if isinstance(error, BrokenPipeError) and stdout_has_no_reader():
            redirect_to_devnull(sys.stdout)
            sys.exit(0)
        if show_traceback:
            click.echo(visible(redacted(traceback.format_exc())), err=True, nl=False)
        write_note(*_error_lines(error))
        sys.exit(error.exit_code if isinstance(error, click.ClickException) else 1)


def error_message(error: Exception) -> str:
    """Return the text of an error, to be shown alone or inside another line."""
    if isinstance(error, click.ClickException):
        return _usage_message(error)
    if isinstance(error, AisioError):
        text = str(error).replace(ALLOW_EMPTY_HINT, "")
        return f"{text}; {hint}" if (hint := error_hint(text)) else text
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" in {PurePath(frame.filename).name}, line {frame.lineno}" for frame in frames)
    return (
        f"{type(error).__name__}{where}: {error}: this should not happen; "
        f"'aisio --traceback COMMAND ...' shows how it came about"
    )


def _error_lines(error: Exception) -> list[str]:
    text = f"error: {error_message(error)}"
    if isinstance(error, CatalogError):
        # One line for each problem in the catalog.
        return [text.partition("\n")[0], *error.problems]
    return [text]


def _missing_message(error: click.MissingParameter) -> str:
    """Return the message in one line. Of `cp SRC... DST` with one argument, both are needed."""
    if context := error.ctx:
        arguments = [one for one in context.command.params if isinstance(one, click.Argument)]
        required = [one.make_metavar(context) for one in arguments if one.required]
        if len(required) > 1 and arguments[0].nargs == -1:
            return f"Missing argument: {' and '.join(required)} are needed"
    return " ".join(error.format_message().split())


def _usage_message(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    if isinstance(error, click.MissingParameter):
        text = _missing_message(error)
    if hint := usage_hint(error):
        text = f"{text.partition('. Did you mean')[0].rstrip('.')}: {hint}"
    return f"{text.rstrip('.')}; try '{context.command_path} --help'" if context else text
