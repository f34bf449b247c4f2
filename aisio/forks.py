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

__all__ = ["SameProcess", "before", "in_child", "in_parent", "this_process"]

C = TypeVar("C", bound=Callable[[], object])


def before(callback: C) -> C:
    """Call a function in the parent before each fork; the one registered last is called first."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=callback)
    return callback


def in_parent(callback: C) -> C:
    """Call a function in the parent after each fork, in the order of registration."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_parent=callback)
    return callback


def in_child(callback: C) -> C:
    """Call a function in each forked child, in the order of registration."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=callback)
    return callback


class SameProcess:
    """Stands for one process: who keeps it can tell later whether a fork has happened since.

    Unlike a process id it costs no system call to compare, and no later process gets the same one.
    A fork by C code that does not run Python's fork hooks is not noticed.

    Attributes:
        is_current: Whether the code runs in that process, and not in a child that was forked since.
    """

    __slots__ = ("is_current",)

    def __init__(self) -> None:
        self.is_current = True

    def check(self, what: str) -> None:
        """Refuse to go on in a forked child.

        Args:
            what: What was begun, as in "this iteration".

        Raises:
            StorageError: It was begun in another process.
        """
        if not self.is_current:
            raise StorageError(f"{what} was begun before the fork: begin another in this process")


_current = SameProcess()


def this_process() -> SameProcess:
    """Return the object that stands for the current process."""
    return _current


@in_child
def _begin_process() -> None:
    global _current
    _current.is_current = False
    _current = SameProcess()
