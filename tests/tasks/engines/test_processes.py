"""The processes of one task on this machine."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from aisio.tasks.engines.processes import (
    MARK_VARIABLE,
    ProcessInfo,
    end_processes,
    find_processes,
    has_mark,
    send_signal,
)

if sys.platform != "linux":
    pytest.skip("tasks run on Linux alone", allow_module_level=True)

# A marked process, a child that cleared its environment, and one with another mark.
TREE = """
import os, subprocess, sys
for environment in ({}, {sys.argv[1]: "another"}):
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid, flush=True)
child.wait()
"""


def test_marked_processes_and_their_descendants_are_found_and_ended():
    """Those with another mark are left alone."""
    mark = secrets.token_hex(8)
    environment = {**os.environ, MARK_VARIABLE: mark}
    command = [sys.executable, "-c", TREE, MARK_VARIABLE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        bare, other = (int(parent.stdout.readline()) for _ in range(2))
        assert [found.pid for found in find_processes(mark)] == sorted([parent.pid, bare])
        assert has_mark(parent.pid, mark)
        assert not has_mark(bare, mark)
        end_processes(mark, grace_s=5, keep=[parent.pid])
        assert [found.pid for found in find_processes(mark)] == [parent.pid]
        end_processes(mark, grace_s=5)
        assert find_processes(mark) == []
        assert has_mark(other, "another")
        end_processes("another", grace_s=5)


def test_an_ended_process_has_no_mark():
    """Also while its parent has not noticed."""
    environment = {**os.environ, MARK_VARIABLE: "m"}
    with subprocess.Popen(["true"], env=environment) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not has_mark(process.pid, "m")


def test_only_the_same_process_is_signalled():
    """Another one may have got its ID."""
    with subprocess.Popen(["sleep", "600"]) as process:
        (own,) = (found for found in [ProcessInfo(process.pid, 0, 0, 0, None)])
        assert not send_signal(own, 9)
        assert process.poll() is None
        process.kill()
        process.wait()
        assert not send_signal(own, 9)
