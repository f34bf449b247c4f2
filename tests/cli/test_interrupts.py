"""Ctrl-C, while a server has stalled for ever."""

from __future__ import annotations

import signal
import threading

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
        program = start(
            *("-e", proxy.endpoint, *line.split()),
            cwd=folder,
            # Where this test runs in the background, a shell has SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while not any(request.fault for request in proxy.requests):
            assert program.poll() is None, program.stderr.read()
        program.send_signal(signal.SIGINT)
        _, stderr = program.communicate(timeout=120)
    assert (program.returncode, stderr.strip()) == (130, b"")
    assert {path.name for path in (folder / "out").rglob("*") if path.is_file()} == {"old"}
    assert (folder / "out/old").read_bytes() == b"old"
    if method != "DELETE":  # the server had that request
        assert {"small", "dir/a", "dir/b", "dir/c"} <= {info.name for info in bucket.list()}


def test_a_handler_of_the_caller_stays():
    """So does that of another thread's process; afterwards all is as before."""
    found = []
    thread = threading.Thread(target=lambda: found.append(_handler_inside()))
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
    assert _handler_inside() is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert _handler_inside() is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _handler_inside():
    with interrupts_end_soon():
        return signal.getsignal(signal.SIGINT)


def test_an_interrupt_is_raised_at_once_too():
    """The moment is only the limit of what follows."""
    with pytest.raises(KeyboardInterrupt), interrupts_end_soon(clean_up_s=1e6):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
