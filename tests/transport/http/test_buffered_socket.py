"""BufferedSocket: nothing is lost between a line and what follows, nothing waits for ever."""

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
from aisio.wire.http1 import BadReply


class Ends(NamedTuple):
    """Both ends of a connection: a plain socket, and ours."""

    there: socket.socket
    here: BufferedSocket


def connected(timeout_s: float | None = 5.0) -> Ends:
    """Return a connection within this process."""
    there, here = socket.socketpair()
    return Ends(there, BufferedSocket(here, timeout_s))


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Give a connection, and close it."""
    both = connected()
    yield both
    both.there.close()
    both.here.close()


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=30)), max_size=5))
@settings(max_examples=50)
def test_lines_and_bytes_come_in_their_order(parts: list[tuple[bytes, bytes]]) -> None:
    """What came with a line is what the next read begins with."""
    both = connected()
    lines = [(line.replace(b"\n", b"") + b"\n", data) for line, data in parts]
    both.there.sendall(b"".join(line + data for line, data in lines))
    both.there.close()
    for line, data in lines:
        assert both.here.take_through(b"\n", 100) == line
        got = bytearray(len(data))
        count = 0
        while count < len(data):
            count += both.here.readinto(memoryview(got)[count:])
        assert got == data
    assert both.here.take_through(b"\n", 100) == b""
    both.here.close()


def test_a_mark_is_found_across_pieces(ends: Ends) -> None:
    """Its two split_target may come one after the other."""
    ends.there.sendall(b"x" * 20_000 + b"\r\n\r")
    ends.there.sendall(b"\nrest")
    assert ends.here.take_through(b"\r\n\r\n", 30_000) == b"x" * 20_000 + b"\r\n\r\n"
    assert ends.here.has_early_bytes


def test_what_is_too_long_is_refused(ends: Ends) -> None:
    """A server that never ends a line does not fill the memory."""
    ends.there.sendall(b"x" * 101)
    with pytest.raises(BadReply, match="more than 100 bytes"):
        ends.here.take_through(b"\n", 100)


def test_an_end_within_a_line_is_told_from_one_before_it(ends: Ends) -> None:
    """The one is a broken answer, the other none."""
    ends.there.sendall(b"half")
    ends.there.shutdown(socket.SHUT_WR)
    with pytest.raises(BadReply, match="after 4 bytes"):
        ends.here.take_through(b"\n", 100)


def test_quiet_is_a_connection_on_which_nothing_came(ends: Ends) -> None:
    """Neither read in advance, nor waiting, nor an end."""
    assert ends.here.is_quiet
    ends.there.sendall(b"a\nb")
    assert not ends.here.is_quiet
    ends.here.take_through(b"\n", 100)
    assert not ends.here.is_quiet
    assert ends.here.readinto(memoryview(bytearray(9))) == 1
    assert ends.here.is_quiet
    ends.there.close()
    assert not ends.here.is_quiet


@pytest.mark.parametrize("timeout_s", [0.05, 0.0000001])
def test_silence_is_a_timeout(timeout_s: float) -> None:
    """For lines, for bytes, and for a receiver that takes nothing."""
    both = connected(timeout_s)
    with pytest.raises(TimeoutError):
        both.here.take_through(b"\n", 100)
    with pytest.raises(TimeoutError):
        both.here.readinto(memoryview(bytearray(9)))
    with pytest.raises(TimeoutError):
        both.here.send(bytes(64 << 20))
    both.there.close()
    both.here.close()


def test_without_a_timeout_it_waits() -> None:
    """None is for ever, as far as a test can tell."""
    both = connected(None)
    both.there.sendall(b"a\n")
    assert both.here.take_through(b"\n", 100) == b"a\n"
    both.there.close()
    both.here.close()


def test_a_line_that_does_not_come_to_its_end_times_out(ends: Ends) -> None:
    """However often there is a byte more; how long its first one takes does not count."""
    ends.here.slow_s = 0.0
    ends.there.sendall(b"a\n" + b"x" * 60_000)
    assert ends.here.take_through(b"\n", 100) == b"a\n"
    with pytest.raises(TimeoutError):
        ends.here.take_through(b"\n", 100_000)


def test_signals_do_not_put_the_end_of_a_wait_off() -> None:
    """As a profiler sends them: the system begins its limit anew with each."""
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
