"""Tells when no forked child is left that may still see what this process had then.

A child has all that its parent had, and pages of shared memory stay shared. Who writes to them
again must know that no such child is left. A pipe tells: the children have its write end, which no
later child and no other program gets, and the read end is at its end when the last one has ended.
"""

from __future__ import annotations

import os
import select
import threading
import weakref
from contextlib import suppress
from typing import Protocol

from aisio import forks

__all__ = ["ForkedChildren", "Forked", "notice_forks"]


class ForkedChildren:
    """The child of one fork, and all that are forked from it.

    Where this process has no descriptor left for a pipe, they count as never ended.
    """

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None
        with suppress(OSError):
            self._ends = os.pipe()
            weakref.finalize(self, os.close, self._ends[0]).atexit = False

    def started(self) -> None:
        """Leave the write end to the child."""
        if self._ends:
            os.close(self._ends[1])

    def have_ended(self) -> bool:
        """Return whether none of them is left."""
        if not self._ends:
            return False
        poll = select.poll()
        poll.register(self._ends[0])
        return bool(poll.poll(0))


class Forked(Protocol):
    """Has memory that children share."""

    def is_shared(self) -> bool:
        """Return whether a child that is forked now would see memory that is in use."""

    def forked(self, children: ForkedChildren) -> None:
        """Be told of children that are about to be forked."""


_watching: weakref.WeakSet[Forked] = weakref.WeakSet()
_forking: dict[int, ForkedChildren] = {}
"""By thread: children that are about to be forked."""


def notice_forks(watching: Forked) -> None:
    """Have an object told of the forks of this process while it has memory that is in use."""
    _watching.add(watching)


@forks.before
def _before() -> None:
    shared = [one for one in list(_watching) if one.is_shared()]
    if shared:
        children = _forking[threading.get_ident()] = ForkedChildren()
        for one in shared:
            one.forked(children)


@forks.in_parent
def _in_parent() -> None:
    children = _forking.pop(threading.get_ident(), None)
    if children is not None:
        children.started()


@forks.in_child
def _in_child() -> None:
    _watching.clear()  # they lend nothing here
    _forking.clear()
