"""forks: callbacks around a fork, and who is the process that made a thing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aisio.errors import StorageError
from aisio.forks import this_process


def exit_code(pid: int) -> int:
    """Wait for a child and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_process_that_made_it_is_the_same() -> None:
    """Nothing happens there."""
    process = this_process()
    assert process.is_current
    process.check("this iteration")


def test_a_forked_child_is_another_process() -> None:
    """So is a child's child; what a child makes itself belongs to it."""
    process = this_process()
    pid = os.fork()
    if not pid:
        own = this_process()
        if process.is_current or not own.is_current:
            os._exit(1)
        grandchild = os.fork()
        if not grandchild:
            os._exit(2 if process.is_current or own.is_current else 0)
        os._exit(exit_code(grandchild))
    assert exit_code(pid) == 0
    assert process.is_current


def test_a_forked_child_is_refused() -> None:
    """The error says what was begun, and what to do."""
    process = this_process()
    pid = os.fork()
    if not pid:
        try:
            process.check("this iteration")
        except StorageError as error:
            text = "this iteration was begun before the fork: begin another in this process"
            os._exit(0 if str(error) == text else 1)
        os._exit(2)
    assert exit_code(pid) == 0


CALLBACKS = """
import os
from aisio import forks

done = []

@forks.before
def first(): done.append("first")

@forks.before
def second(): done.append("second")

@forks.in_child
def third(): done.append("third")

@forks.in_parent
def fifth(): done.append("fifth")

@forks.in_child
def fourth(): done.append("fourth" if not process.is_current else "too early")

process = forks.this_process()
pid = os.fork()
if not pid:
    print(done, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(done)
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [(0, ["second", "first", "third", "fourth"]), (1, ["second", "first", "fifth"])],
    ids=["child", "parent"],
)
def test_callbacks_run_around_a_fork(line: int, expected: list[str]) -> None:
    """Those before it in reverse; those of the child in order, and after the count of forks."""
    done = subprocess.run(
        [sys.executable, "-c", CALLBACKS], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[line] == str(expected)
