"""What goes wrong -> a line on stderr, or several of a catalog, and an exit status.

0    done; also where nobody is left to read a pipe, as in `aisio ls ... | head`
1    the work failed
2    the command line cannot be meant
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

from aisio.cli.output import tell, told_what_is_warned_of
from aisio.cli.standard_streams import (
    discard,
    hold_closed_descriptors,
    stdout_has_no_reader,
)
from aisio.errors import AisioError, CatalogError
from aisio.escapes import visible
from aisio.redaction import redacted
from aisio.sources.nothing_found import ALLOW_EMPTY_HINT

INTERRUPTED = 130
"""What a shell reports for a program that was ended by SIGINT (128 + 2)."""


class CommandGroup(click.Group):
    """Commands in the order in which they were added, whose errors end in `error_handler`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line; click itself takes a pipe without a reader for a failure."""
        with error_handler():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors are caught here, as main() takes any EOFError for Ctrl-D."""
        with error_handler(show_traceback=bool(ctx.find_root().params.get("traceback"))):
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and exit with its status."""
        hold_closed_descriptors()
        kwargs["standalone_mode"] = False
        with told_what_is_warned_of(), error_handler():
            try:
                status = super().main(*args, **kwargs)
            except click.Abort:
                status = INTERRUPTED
        sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def error_handler(*, show_traceback: bool = False) -> Iterator[None]:
    """End the program with a line on stderr and an exit status where something goes wrong.

    Args:
        show_traceback: Print before the line where the error comes from.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except (click.exceptions.Exit, click.Abort):
        raise  # click's own way to end a program
    except Exception as error:
        if isinstance(error, BrokenPipeError) and stdout_has_no_reader():
            discard(sys.stdout)
            sys.exit(0)
        if show_traceback:
            click.echo(visible(redacted(traceback.format_exc())), err=True, nl=False)
        tell(*_lines(error))
        sys.exit(error.exit_code if isinstance(error, click.ClickException) else 1)


def message_of(error: Exception) -> str:
    """Return what an error says, on its own line or in another's."""
    if isinstance(error, click.ClickException):
        return _usage_text(error)
    if isinstance(error, AisioError):
        return str(error).replace(ALLOW_EMPTY_HINT, "")
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" in {PurePath(step.filename).name}, line {step.lineno}" for step in place)
    return (
        f"{type(error).__name__}{where}: {error}: this should not happen; "
        f"'aisio --traceback COMMAND ...' shows how it came about"
    )


def _lines(error: Exception) -> list[str]:
    text = f"error: {message_of(error)}"
    if isinstance(error, CatalogError):
        # Many lines, each of something else that is wrong.
        return [text.partition("\n")[0], *error.problems]
    return [text]


def _usage_text(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    return f"{text.rstrip('.')}; try '{context.command_path} --help'" if context else text
