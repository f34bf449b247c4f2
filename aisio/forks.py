"""What to do around a fork, and how to tell that one has happened.

A forked child has none of its parent's threads, but a copy of everything else: connections that
the parent reads from, locks that another thread held, iterations that are half done. A module that
keeps such things registers here what the child does with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from aisio.errors import StorageError

__all__ = ["SameProcess", "before", "in_child"]

C = TypeVar("C", bound=Callable[[], object])

_forks = 0
"""How many forks lie between the process that loaded this module and the current one. Unlike a
process id it costs no system call, and no later process has the same one."""


def before(callback: C) -> C:
    """Call a function in the parent before each fork; the one registered last is called first."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=callback)
    return callback


def in_child(callback: C) -> C:
    """Call a function in each forked child, in the order of registration."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=callback)
    return callback


@in_child
def _count_fork() -> None:
    global _forks
    _forks += 1


class SameProcess:
    """Tells whether the current process is the one in which this object was made."""

    __slots__ = ("_forks",)

    def __init__(self) -> None:
        self._forks = _forks

    @property
    def is_current(self) -> bool:
        """Whether no fork lies between the making of this object and now."""
        return self._forks == _forks

    def check(self, what: str) -> None:
        """Refuse to go on in a forked child.

        Args:
            what: What was begun, as in "this iteration".

        Raises:
            StorageError: It was begun in another process.
        """
        if self._forks != _forks:
            raise StorageError(f"{what} was begun before the fork: begin another in this process")
