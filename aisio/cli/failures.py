"""What goes wrong -> a line on stderr, or several of a catalog, and an exit status.

0    done; also where nobody is left to read a pipe, as in `aisio ls ... | head`
1    the work failed
2    the command line cannot be meant
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from aisio.cli.output import printable, tell
from aisio.errors import AisioError, CatalogError

INTERRUPTED = 130
"""What a shell reports for a program that was ended by SIGINT (128 + 2)."""


class CommandGroup(click.Group):
    """Commands in the order in which they were added, whose errors end in `error_handler`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors are caught here, as main() takes any EOFError for Ctrl-D."""
        with error_handler():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and exit with its status."""
        kwargs["standalone_mode"] = False
        with error_handler():
            try:
                status = super().main(*args, **kwargs)
            except click.Abort:
                status = INTERRUPTED
        sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def error_handler() -> Iterator[None]:
    """End the program with a line on stderr and an exit status where something goes wrong."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        sys.exit(0)
    except click.ClickException as error:
        _fail(printable(_usage_text(error)), error.exit_code)
    except CatalogError as error:
        # Many lines, each of something else that is wrong.
        title = str(error).partition("\n")[0]
        _fail("\n  ".join(map(printable, [title, *error.problems])), 1)
    except AisioError as error:
        _fail(printable(str(error)), 1)
    except OSError as error:
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _fail(printable(text), 1)


def _fail(text: str, status: int) -> NoReturn:
    tell(f"error: {text}")
    sys.exit(status)


def _usage_text(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    return f"{text.rstrip('.')}; try '{context.command_path} --help'" if context else text


def _discard_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter would complain of it as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
