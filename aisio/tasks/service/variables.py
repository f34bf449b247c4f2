"""Environment variables of a task until it is started: their values may be secrets.

A record has their names alone. The values are in a file of the task's folder that only its owner
can read, and that is removed when the engine has the task.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from aisio.errors import NotFoundError
from aisio.tasks.errors import InvalidArguments

__all__ = [
    "forget_variables",
    "hide_values",
    "keep_variables",
    "kept_variables",
    "parse_variables",
]

HIDDEN = "***"
_FILE = "variables.json"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_variables(text: str) -> dict[str, str]:
    """Return environment variables from the vendor's form, "A=1,B=2".

    Raises:
        InvalidArguments: It has another form.
    """
    variables = {}
    for number, item in enumerate(filter(None, text.split(",")), 1):
        name, separator, value = item.partition("=")
        if not separator or not _VARIABLE.fullmatch(name):
            # The text may be a secret, with a "," in it.
            raise InvalidArguments(
                f"envs: item {number} is not NAME=value; several are joined by ','"
            )
        variables[name] = value
    return variables


def hide_values(text: str) -> str:
    """Return variables in the vendor's form, with "***" for each value."""
    return ",".join(f"{name}={HIDDEN}" for name in parse_variables(text))


def keep_variables(text: str, folder: Path) -> None:
    """Write variables into a task's folder; no file, if there are none.

    Args:
        text: In the vendor's form.
        folder: The folder, which is made.

    Raises:
        InvalidArguments: A value is hidden: it was read from a record.
    """
    variables = parse_variables(text)
    for name, value in variables.items():
        if value == HIDDEN:
            raise InvalidArguments(f"envs: the value of {name} is not recorded: give it again")
    if not variables:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(folder / _FILE, flags, 0o600), "w", encoding="utf-8") as file:
        json.dump(variables, file)


def kept_variables(text: str, folder: Path) -> dict[str, str]:
    """Return the variables of a task that is to be started.

    Args:
        text: What the record has: values too, if an older version of aisio made it.
        folder: The task's folder.

    Raises:
        NotFoundError: Their file is not there any more.
    """
    recorded = parse_variables(text)
    if HIDDEN not in recorded.values():
        return recorded
    try:
        variables: dict[str, str] = json.loads((folder / _FILE).read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"the values of {', '.join(recorded)} are lost") from None
    return variables


def forget_variables(folder: Path) -> None:
    """Remove the file with the variables, if there is one."""
    (folder / _FILE).unlink(missing_ok=True)
