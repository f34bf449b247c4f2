"""Functions of users: how they are called, named in errors, and sent to other processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction, isgeneratorfunction
from multiprocessing.context import get_spawning_popen
from types import FunctionType
from typing import Any

from aisio.errors import ConfigError, add_note
from aisio.escapes import one_line

__all__ = ["FunctionChain", "call", "check_callable", "function_name", "require_picklable"]

_MAX_ITEM = 80
_NOT_IMPORTABLE = ("<lambda>", "<locals>")


def check_callable(word: str, function: object) -> None:
    """Refuse what cannot be called, or returns before it has a result.

    A generator or coroutine is no item: a predicate that returns one keeps every item, and a worker
    of a DataLoader cannot send one, for which torch waits for ever.

    Raises:
        ConfigError: It is such.
    """
    if not callable(function):
        raise ConfigError(f".{word}({function!r:.{_MAX_ITEM}}): a function is needed")
    kinds = {"generator": isgeneratorfunction, "coroutine": iscoroutinefunction}
    for kind, is_of_kind in kinds.items():
        if is_of_kind(function):
            raise ConfigError(
                f".{word}({function_name(function)}): it returns a {kind}: a function is needed"
                " that returns its result"
            )


def function_name(function: Any) -> str:
    """Return what errors call a function."""
    if isinstance(function, partial):
        return f"partial({function_name(function.func)})"
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def call(word: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function.

    Raises:
        RuntimeError: It raised StopIteration, which would end the iteration in silence.
        Exception: What it raised; from Python 3.11, with a note that names it and the item.
    """
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError(f".{word}({function_name(function)}) raised StopIteration") from error
    except Exception as error:
        add_note(error, f".{word}({function_name(function)}) was called with {_about(arguments)}")
        raise


class FunctionChain:
    """Functions that a user has given to items, each called with what the one before it returned.

    Args:
        functions: Each with the word that has taken it, as in "map".
    """

    def __init__(self, *functions: tuple[str, Callable[[Any], Any]]) -> None:
        self._functions = functions

    def followed_by(self, word: str, function: Callable[[Any], Any]) -> FunctionChain:
        """Return a chain with one function more."""
        return FunctionChain(*self._functions, (word, function))

    def __call__(self, item: Any) -> Any:
        """Return what the last function makes of an item; see `call`."""
        for word, function in self._functions:
            item = call(word, function, item)
        return item

    def check_picklable(self, owner: str) -> None:
        """Refuse functions that a process which is being started cannot import.

        Raises:
            ConfigError: One of them; see `require_picklable`.
        """
        for word, function in self._functions:
            require_picklable(f"<{owner}> .{word}()", function)


def require_picklable(word: str, function: object) -> None:
    """Refuse a function that a process which is being started cannot import.

    Other pickles are left alone: cloudpickle, which Ray uses, can send such functions.

    Args:
        word: What takes the function, as in "map".
        function: The function.

    Raises:
        ConfigError: It is a lambda, or was defined within another function.
    """
    if get_spawning_popen() is None:
        return
    if (found := _not_importable(function)) is not None:
        code = found.__code__
        raise ConfigError(
            f"{word}: {found.__qualname__} of {code.co_filename}, line {code.co_firstlineno},"
            " cannot be pickled, and worker processes that are not forked need that: make it a"
            " function of a module, or start the workers by fork"
            ' (multiprocessing_context="fork")'
        )


def _not_importable(function: object) -> FunctionType | None:
    if isinstance(function, partial):
        parts = (function.func, *function.args, *function.keywords.values())
        return next((found for part in parts if (found := _not_importable(part))), None)
    if isinstance(function, FunctionType) and any(
        mark in function.__qualname__ for mark in _NOT_IMPORTABLE
    ):
        return function
    return None


def _about(arguments: tuple[Any, ...]) -> str:
    """Name an item: by its name if it has one, as it may have many bytes."""
    item = arguments[0] if arguments else None
    if isinstance(item, tuple) and item and isinstance(item[0], str):
        return f"the item {one_line(item[0])!r}"
    if isinstance(item, dict) and isinstance(item.get("__key__"), str):
        return f"the item {one_line(item['__key__'])!r}"
    return f"an item of class {type(item).__name__}"
