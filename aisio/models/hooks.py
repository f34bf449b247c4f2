"""Hooks on `open` and `torch.UntypedStorage.from_file`, which wait for files that are on their way.

While a large file of a model is read in the background, a stand-in has its place. A hook asks the
system which file a path leads to. If that is a stand-in, it waits until the real file has its
place. Then it calls the function that it stands for, with the arguments as they are: what the
caller gets, and what is refused, is what that function says.

The hooks are there as long as a folder needs them. If another program has put a function of its own
in place of one, that stays, and the hook below it only passes calls on.
"""

from __future__ import annotations

import builtins
import functools
import io
import os
import pathlib
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from aisio import forks
from aisio.extras import missing_extra

__all__ = ["StandIns"]

FileIdentity: TypeAlias = tuple[int, int]
_ABSENT = object()

_waits: dict[FileIdentity, tuple[Callable[[], None], ...]] = {}
"""Of a stand-in that several directories of this process share, each has one."""

_patches: list[_Patch] = []
_users = 0
_lock = threading.RLock()


class StandIns:
    """The stand-ins of one folder; the hooks are in place until `close`.

    Raises:
        MissingExtraError: torch is not installed.
    """

    def __init__(self) -> None:
        global _users
        places = list(_places())
        self._added: list[tuple[FileIdentity, Callable[[], None]]] = []
        self._is_closed = False
        with _lock:
            _users += 1
            if _users == 1:
                _patches.extend(_Patch(owner, name) for owner, name in places)

    def add(self, path: pathlib.Path, wait: Callable[[], None]) -> None:
        """Have `wait` called before a stand-in is opened.

        Args:
            path: The stand-in.
            wait: Returns once the real file is in its place, or raises.
        """
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        with _lock:
            self._added.append((identity, wait))
            _waits[identity] = (*_waits.get(identity, ()), wait)

    def close(self) -> None:
        """Remove the hooks, unless another folder needs them; a second call does nothing."""
        global _users
        with _lock:
            if self._is_closed:
                return
            self._is_closed = True
            for identity, wait in self._added:
                others = tuple(one for one in _waits[identity] if one is not wait)
                if others:  # at once: a thread may look that has not the lock
                    _waits[identity] = others
                else:
                    del _waits[identity]
            _users -= 1
            if not _users:
                while _patches:
                    _patches.pop().remove()


class _Patch:
    """A hook in place of a function.

    Args:
        owner: The module or class that has the function.
        name: Its name.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name
        self._before = vars(owner).get(name, _ABSENT)
        self._is_active = True
        hook = self._make_hook(getattr(owner, name))
        self._hook = staticmethod(hook) if isinstance(owner, type) else hook
        setattr(owner, name, self._hook)

    def remove(self) -> None:
        """Put the function back, unless another program has replaced the hook."""
        self._is_active = False
        if vars(self._owner).get(self._name) is not self._hook:
            return
        if self._before is _ABSENT:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._before)

    def _make_hook(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def hook(*args: Any, **kwargs: Any) -> Any:
            if _waits and self._is_active:
                _wait_for(args[0] if args else kwargs.get("file", kwargs.get("filename")))
            return function(*args, **kwargs)

        return hook


def _places() -> Iterable[tuple[Any, str]]:
    """Return what is hooked: `builtins.open`, the names of it that pathlib uses, and torch's."""
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", "torch") from error
    yield builtins, "open"
    yield io, "open"
    # Python 3.10 keeps a name of its own.
    if (accessor := getattr(pathlib, "_NormalAccessor", None)) is not None:
        yield accessor, "open"
    yield torch.UntypedStorage, "from_file"


def _wait_for(file: Any) -> None:
    """Wait if a path leads to a stand-in; what is no path, or leads nowhere, is not our concern."""
    if not isinstance(file, (str, bytes, os.PathLike)):
        return
    try:
        status = os.stat(file)  # noqa: PTH116 - a path may be bytes
    except (OSError, ValueError, TypeError):
        return
    waits = _waits.get((status.st_dev, status.st_ino), ())
    for number, wait in enumerate(waits, 1):
        try:
            wait()
            break
        except Exception:  # another directory may still read the file
            if number == len(waits):
                raise


@forks.in_child
def _new_lock() -> None:
    global _lock
    _lock = threading.RLock()
