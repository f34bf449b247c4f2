"""ForkedChildren: whether a child is left that saw what its parent had."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from aisio.training.workers.forked_children import ForkedChildren, notice_forks


class Memory:
    """Memory that is in use, or not."""

    def __init__(self, *, used: bool = True) -> None:
        self.used = used
        self.seen_by: list[ForkedChildren] = []

    def is_shared(self) -> bool:
        """Return whether it is in use."""
        return self.used

    def forked(self, children: ForkedChildren) -> None:
        """Collect who sees it."""
        self.seen_by.append(children)


def start(target: Callable[..., object], *arguments: Any) -> Any:
    """Return a forked child that runs a function."""
    process = get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def wait(pipe: Any) -> None:
    """Wait for a word."""
    pipe.recv()


def leave_a_child(pipe: Any) -> None:
    """End, and leave a child that waits."""
    if os.fork() == 0:
        pipe.recv()
        os._exit(0)


@pytest.mark.parametrize("target", [wait, leave_a_child])
def test_a_child_is_noticed_until_it_has_ended(target: Callable[[Any], None]) -> None:
    """It, and those that are forked from it."""
    memory = Memory()
    notice_forks(memory)
    ours, theirs = get_context("fork").Pipe()
    child = start(target, theirs)
    if target is leave_a_child:
        child.join()
    (children,) = memory.seen_by
    assert not children.have_ended()
    later = start(int)
    later.join()
    assert memory.seen_by[1].have_ended()
    assert not children.have_ended()
    ours.send("end")
    child.join()
    assert children._ends
    select.select([children._ends[0]], [], [])
    assert children.have_ended()


def test_a_later_child_is_none_of_them() -> None:
    """It has not got the end of the pipe."""
    memory = Memory()
    notice_forks(memory)
    start(int).join()
    memory.used = False
    ours, theirs = get_context("fork").Pipe()
    later = start(wait, theirs)
    (children,) = memory.seen_by
    assert children.have_ended()
    ours.send("end")
    later.join()


def test_other_programs_are_none_of_them() -> None:
    """They see no memory of this process."""
    memory = Memory()
    notice_forks(memory)
    script = "import sys; sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, preexec_fn=int):
        assert len(memory.seen_by) == 1
        assert memory.seen_by[0].have_ended()


def test_nothing_is_done_for_memory_that_is_not_in_use() -> None:
    """And no descriptor is left of what was."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    memory = Memory(used=False)
    notice_forks(memory)
    start(int).join()
    assert memory.seen_by == []
    memory.used = True
    start(int).join()
    memory.seen_by.clear()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # of the process object


def test_without_a_descriptor_they_have_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is rather lost than written to."""

    def no_pipe() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "pipe", no_pipe)
    children = ForkedChildren()
    children.started()
    assert not children.have_ended()
