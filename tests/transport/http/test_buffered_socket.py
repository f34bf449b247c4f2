"""BufferedSocket: no byte after a line is lost, and no read waits for ever."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio.transport.http.buffered_socket import BufferedSocket
from aisio.wire.http1 import BadResponse


class Ends(NamedTuple):
    """Both ends of a connection: a plain socket and a BufferedSocket."""

    there: socket.socket
    here: BufferedSocket


def connected(timeout_s: float | None = 5.0) -> Ends:
    """Return a connection within this process."""
    there, here = socket.socketpair()
    return Ends(there, BufferedSocket(here, timeout_s))


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Yield a connection, and close it."""
    both = connected()
    yield both
    both.there.close()
    both.here.close()


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=30)), max_size=5))
@settings(max_examples=50)
def test_lines_and_bytes_come_in_their_order(parts: list[tuple[bytes, bytes]]) -> None:
    """Bytes that came with a line are returned by the next read."""
    both = connected()
    lines = [(line.replace(b"\n", b"") + b"\n", data) for line, data in parts]
    both.there.sendall(b"".join(line + data for line, data in lines))
    both.there.close()
    for line, data in lines:
        assert both.here.read_until(b"\n", 100) == line
        got = bytearray(len(data))
        count = 0
        while count < len(data):
            count += both.here.readinto(memoryview(got)[count:])
        assert got == data
    assert both.here.read_until(b"\n", 100) == b""
    both.here.close()


def test_a_mark_is_found_across_pieces(ends: Ends) -> None:
    """Its two halves may come one after the other."""
    ends.there.sendall(b"x" * 20_000 + b"\r\n\r")
    ends.there.sendall(b"\nrest")
    assert ends.here.read_until(b"\r\n\r\n", 30_000) == b"x" * 20_000 + b"\r\n\r\n"
    assert ends.here.has_buffered_bytes


def test_what_is_too_long_is_refused(ends: Ends) -> None:
    """A server that never ends a line does not fill the memory."""
    ends.there.sendall(b"x" * 101)
    with pytest.raises(BadResponse, match="more than 100 bytes"):
        ends.here.read_until(b"\n", 100)


def test_an_end_within_a_line_differs_from_one_before_it(ends: Ends) -> None:
    """The first is a broken response, the second no response."""
    ends.there.sendall(b"half")
    ends.there.shutdown(socket.SHUT_WR)
    with pytest.raises(BadResponse, match="after 4 bytes"):
        ends.here.read_until(b"\n", 100)


def test_quiet_is_a_connection_on_which_nothing_came(ends: Ends) -> None:
    """It has no buffered bytes, none that can be received, and has not ended."""
    assert not ends.here.is_readable
    ends.there.sendall(b"a\nb")
    assert ends.here.is_readable
    ends.here.read_until(b"\n", 100)
    assert ends.here.is_readable
    assert ends.here.readinto(memoryview(bytearray(9))) == 1
    assert not ends.here.is_readable
    ends.there.close()
    assert ends.here.is_readable


@pytest.mark.parametrize("timeout_s", [0.05, 0.0000001])
def test_silence_is_a_timeout(timeout_s: float) -> None:
    """For lines, for bytes, and for a peer that does not read."""
    both = connected(timeout_s)
    with pytest.raises(TimeoutError):
        both.here.read_until(b"\n", 100)
    with pytest.raises(TimeoutError):
        both.here.readinto(memoryview(bytearray(9)))
    with pytest.raises(TimeoutError):
        both.here.send(bytes(64 << 20))
    both.there.close()
    both.here.close()


def test_without_a_timeout_it_waits() -> None:
    """None waits for ever, as far as a test can show."""
    both = connected(None)
    both.there.sendall(b"a\n")
    assert both.here.read_until(b"\n", 100) == b"a\n"
    both.there.close()
    both.here.close()


def test_a_line_that_does_not_come_to_its_end_times_out(ends: Ends) -> None:
    """However often another byte comes. The wait for the first one does not count."""
    ends.here.slow_s = 0.0
    ends.there.sendall(b"a\n" + b"x" * 60_000)
    assert ends.here.read_until(b"\n", 100) == b"a\n"
    with pytest.raises(TimeoutError):
        ends.here.read_until(b"\n", 100_000)


def test_signals_do_not_put_the_end_of_a_wait_off() -> None:
    """A profiler sends such signals, and the system starts its limit anew after each."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    both = connected(0.1)
    rescue = threading.Timer(2, both.there.sendall, (b"x",))
    rescue.start()
    try:
        with pytest.raises(TimeoutError):
            both.here.readinto(memoryview(bytearray(1)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        rescue.cancel()
        rescue.join()
        both.there.close()
        both.here.close()
