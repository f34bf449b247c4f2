"""Run a program beside a model: `python -m aisio.models --url URL --dir DIR COMMAND...`.

The program, and all that it starts, find the model's files in the folder, also if they are not
written in Python: the files are there. When the program ends, the folder is emptied.

With `ENABLE_CONNECTOR=1`, OSS_PATH and MODEL_DIR stand for the two options, as in Alibaba's
connector. Without that and without the options, the program runs as if it had been started alone.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from aisio.config import first_set
from aisio.errors import AisioError, ConfigError
from aisio.models.directory import ModelDirectory

_NOT_FOUND_STATUS = 127
_SIGNAL_STATUS = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status, and 128 + n for one that signal n has ended."""
    options = _parser().parse_args(arguments)
    command = [options.program, *options.arguments]
    # A process that is terminated empties the folder as well.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    try:
        place = _place(options.url, options.dir)
        if place is None:
            return _run(command, ())
        directory = ModelDirectory(
            *place, allow_patterns=options.allow or None, ignore_patterns=options.ignore
        )
        with directory:
            return _run(command, directory.descriptors())
    except (AisioError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aisio.models",
        description="Run a program with the files of a model in a folder.",
    )
    parser.add_argument("--url", help="the folder of the model; else OSS_PATH")
    parser.add_argument("--dir", help="the local folder; else MODEL_DIR")
    parser.add_argument("--allow", action="append", metavar="PATTERN", help="only these files")
    parser.add_argument(
        "--ignore", action="append", metavar="PATTERN", default=[], help="none of these files"
    )
    parser.add_argument("program", help="the program to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what belongs to it")
    return parser


def _place(url: str | None, folder: str | None) -> tuple[str, str] | None:
    """Return URL and folder; None if there shall be none."""
    if url is None and folder is None and first_set("ENABLE_CONNECTOR") != "1":
        return None
    url, folder = url or first_set("OSS_PATH"), folder or first_set("MODEL_DIR")
    if not url or not folder:
        raise ConfigError("both are needed: --url or OSS_PATH, and --dir or MODEL_DIR")
    return url, folder


def _run(command: Sequence[str], descriptors: tuple[int, ...]) -> int:
    try:
        # While the program runs, it has the folder in use even if this process is killed.
        process = subprocess.Popen(command, pass_fds=descriptors)
    except FileNotFoundError:
        sys.stderr.write(f"{command[0]}: no such program\n")
        return _NOT_FOUND_STATUS
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: process.send_signal(number))
    # A terminal sends this one to both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = process.wait()
    return status if status >= 0 else _SIGNAL_STATUS - status


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(_SIGNAL_STATUS + number)


if __name__ == "__main__":
    sys.exit(main())
