"""The command line of a task: its entrypoint, with hyperparameters and mounts as arguments.

All of it is lists of words. No shell reads them, so no value can add a word or a command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from aisio.errors import ConfigError

__all__ = ["command_line", "hyperparam_arguments"]

_REFERENCE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<bare>\w+))", re.ASCII)
_HYDRA_PREFIXES = ("", "+", "++")
_PLAIN_IN_HYDRA = re.compile(r"[A-Za-z0-9_./@%+-][A-Za-z0-9_./:@%+-]*", re.ASCII)


def command_line(
    entrypoint: str | Sequence[str],
    hyperparams: Mapping[str, Any] | None = None,
    *,
    prefix: str = "--",
    delimiter: str = " ",
    mounts: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return the program of a task and its arguments.

    Args:
        entrypoint: The program and its first arguments; as one text it is split where a shell would
            split it, and nothing in it is expanded but the IDs of mounts.
        hyperparams: See `hyperparam_arguments`.
        prefix: Comes before each name.
        delimiter: Comes between name and value.
        mounts: Paths by ID: `$ID` and `${ID}` become the path, as do `"$ID"` with its quotes. Other
            dollar signs stay as they are.

    Raises:
        ConfigError: The entrypoint is empty or has an open quote, or a hyperparameter has no place
            on a command line.
    """
    try:
        words = shlex.split(entrypoint) if isinstance(entrypoint, str) else list(entrypoint)
    except ValueError as error:
        raise ConfigError(f"entrypoint {entrypoint!r}: {error}") from None
    if not words or not words[0]:
        raise ConfigError("the entrypoint is empty: give a program, as in 'python train.py'")
    if any("\0" in word for word in words):
        raise ConfigError(f"entrypoint {entrypoint!r}: a program takes no NUL characters")
    paths = mounts or {}
    arguments = hyperparam_arguments(
        hyperparams or {}, prefix=prefix, delimiter=delimiter, mounts=paths
    )
    return tuple(_expanded(word, paths) for word in words) + arguments


def hyperparam_arguments(
    hyperparams: Mapping[str, Any],
    *,
    prefix: str = "--",
    delimiter: str = " ",
    mounts: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return hyperparameters as arguments, in their order.

    | value | prefix "--", delimiter " " | prefix "--", delimiter "=" | prefix "" or "+", "=" |
    | --- | --- | --- | --- |
    | 0.1 | `--lr 0.1` | `--lr=0.1` | `lr=0.1` |
    | "" (a flag) | `--lr` | `--lr` | `lr` |
    | [1, 2] | `--lr 1 2` | `--lr=1 --lr=2` | `lr=[1,2]` |
    | [1] | `--lr 1` | `--lr=1` | `lr=1` |

    So argparse takes a list by nargs="+" or by action="append", click by multiple=True, and hydra
    as its own list, whose elements are quoted where hydra would read more in them than text.

    Raises:
        ConfigError: A name is empty or has blanks; or a value is neither text, number, bool, nor a
            list of these.
    """
    if "\0" in prefix + delimiter or not delimiter:
        raise ConfigError(f"delimiter {delimiter!r} of hyperparameters must be a blank, or as '='")
    words: list[str] = []
    for name, value in hyperparams.items():
        _check_name(name)
        listed = _is_list(value)
        texts = [_text(name, item, mounts or {}) for item in (value if listed else [value])]
        words += _option(prefix, str(name), delimiter, texts, listed=listed)
    return tuple(words)


def _option(prefix: str, name: str, delimiter: str, texts: list[str], *, listed: bool) -> list[str]:
    option = prefix + name
    if texts == [""] and not listed:
        return [option]
    if delimiter.isspace():
        return [option, *texts]
    if prefix in _HYDRA_PREFIXES and listed and len(texts) != 1:
        return [f"{option}{delimiter}[{','.join(map(_hydra_quoted, texts))}]"]
    return [f"{option}{delimiter}{text}" for text in texts]


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or any(c.isspace() or c == "\0" for c in name):
        raise ConfigError(f"hyperparameter {name!r}: a name is a text without blanks")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _text(name: str, value: object, mounts: Mapping[str, str]) -> str:
    if not isinstance(value, (str, int, float)):
        raise ConfigError(
            f"hyperparameter {name}={value!r} is a {type(value).__name__}: give a text, a number, "
            "a bool, or a list of these; '' makes a flag"
        )
    text = _expanded(str(value), mounts)
    if "\0" in text:
        raise ConfigError(f"hyperparameter {name}={text!r}: an argument holds no NUL characters")
    return text


def _expanded(word: str, mounts: Mapping[str, str]) -> str:
    if len(word) > 1 and word[0] == word[-1] == '"':
        reference = _REFERENCE.fullmatch(word, 1, len(word) - 1)
        if reference and (reference["braced"] or reference["bare"]) in mounts:
            word = word[1:-1]
    return _REFERENCE.sub(
        lambda found: mounts.get(found["braced"] or found["bare"], found[0]), word
    )


def _hydra_quoted(text: str) -> str:
    """Return an element of a hydra list.

    Source: hydra's override grammar, hydra.cc/docs/advanced/override_grammar/basic: in quotes, a
    quote is written as backslash and quote, after which only backslashes before a quote double.
    """
    if _PLAIN_IN_HYDRA.fullmatch(text):
        return text
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + "\\'", text)
    escaped = re.sub(r"(\\+)$", lambda found: found[1] * 2, escaped)
    return f"'{escaped}'"
