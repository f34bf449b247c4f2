"""Ctrl-C, while a server has stalled for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from aisio.cli.interrupts import interrupts_end_soon
from aisio.testing.fault_proxy import FaultProxy, Stall

B = "ais://cli-data"
LINES = [
    # A command, the requests that stall, and after how many bytes of their bodies.
    (f"get {B}/large out/new", "GET", 1 << 20),
    (f"get -r {B}/dir/ out/new", "GET", 10),
    (f"mv -r {B}/dir out/new", "GET", 10),
    (f"sync {B}/dir out/new", "GET", 10),
    ("put huge ais://cli-data/new", "PUT", None),
    ("cp huge ais://cli-data/new", "PUT", None),
    ("put -r folder ais://cli-data/new", "PUT", None),
    (f"mv -r {B}/dir {B}/new", "PUT", None),
    (f"rm -r {B}/dir", "DELETE", None),
]


@pytest.mark.parametrize(("line", "method", "after_bytes"), LINES)
def test_ctrl_c_ends_a_command_that_a_stalled_server_holds(
    start, environ, bucket, files, endpoint, line, method, after_bytes
):
    """No timeout would end it: nothing is waited for, and no part of a file is left."""
    folder = files({"folder/a": b"1", "folder/b": b"2", "out/old": b"old"})
    for name in ("huge", "large"):
        with (folder / name).open("wb") as file:
            file.truncate({"huge": 300, "large": 40}[name] << 20)
    if "large" in line:
        bucket.object("large").put((folder / "large").read_bytes())
    for name in ("small", "dir/a", "dir/b", "dir/c"):
        bucket.object(name).put(name.encode() * 20)
    environ["AIS_READ_TIMEOUT"] = "0"
    with FaultProxy(endpoint) as proxy:
        proxy.add(Stall(after_bytes), path="*/objects/*", method=method, times=None)
        program = start("-e", proxy.endpoint, *line.split(), cwd=folder)
        while not any(request.fault for request in proxy.requests):
            assert program.poll() is None, program.stderr.read()
        program.send_signal(signal.SIGINT)
        _, stderr = program.communicate(timeout=120)
    assert program.returncode == 130
    # Python says so where KeyboardInterrupt came in a finalizer.
    assert not stderr.strip() or stderr.startswith(b"Exception ignored"), stderr
    assert {path.name for path in (folder / "out").rglob("*") if path.is_file()} == {"old"}
    assert (folder / "out/old").read_bytes() == b"old"
    if method != "DELETE":  # the server had that request
        assert {"small", "dir/a", "dir/b", "dir/c"} <= {info.name for info in bucket.list()}


BLOCKS = """
import signal, threading
from aisio.cli.interrupts import interrupts_end_soon

thread = threading.Thread(target=threading.Event().wait)
with interrupts_end_soon(clean_up_s=0.0):
    thread.start()
    HANDLE
"""


def _status(handle: str) -> int:
    code = BLOCKS.replace("HANDLE", handle)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return done.returncode


def test_a_signal_that_never_becomes_an_exception_ends_the_process():
    """As one that comes in the moment before the main thread waits for something."""
    kept = "signal.signal(signal.SIGINT, lambda *_: None); signal.raise_signal(signal.SIGINT)"
    assert _status(f"{kept}; thread.join()") == 130


def test_threads_that_wait_do_not_keep_an_interrupted_process():
    """The program's end waits for them."""
    assert _status("signal.raise_signal(signal.SIGINT)") == 130


def test_a_forked_child_does_not_end_its_parent():
    """It has the parent's file for signals."""
    code = """
import os, signal
from aisio.cli.interrupts import interrupts_end_soon

with interrupts_end_soon(clean_up_s=0.0):
    child = os.fork()
    if not child:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    print("goes on")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr


def test_a_command_may_handle_the_interrupt():
    """Then nothing ends the process."""
    with interrupts_end_soon(clean_up_s=1e6), suppress(KeyboardInterrupt):
        (watching,) = (one for one in threading.enumerate() if one.name == "aisio-interrupts")
        signal.raise_signal(signal.SIGINT)
    watching.join()


def test_a_handler_of_the_caller_stays():
    """So does that of another thread's process; afterwards all is as before."""
    found = []
    thread = threading.Thread(target=lambda: found.append(_wakeup_inside()))
    thread.start()
    thread.join()
    assert found == [None]
    assert _wakeup_inside() != -1
    assert signal.set_wakeup_fd(-1) == -1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert _wakeup_inside() == -1
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _wakeup_inside():
    """Return the descriptor that is told of signals; None where this is not the main thread."""
    with interrupts_end_soon():
        try:
            found = signal.set_wakeup_fd(-1)
        except ValueError:
            return None
        signal.set_wakeup_fd(found)
        return found


def test_an_interrupt_is_raised_at_once_too():
    """The moment is only the limit of what follows."""
    with pytest.raises(KeyboardInterrupt), interrupts_end_soon(clean_up_s=1e6):
        signal.raise_signal(signal.SIGINT)
