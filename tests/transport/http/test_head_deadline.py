"""HeadDeadlineAdapter: heads must come in time, and slow bodies show that they are slow."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import count

import pytest
import requests

from aisio.client.session import Session
from aisio.errors import StoreTimeoutError
from aisio.records import RetryPolicy, Settings, Timeouts
from aisio.testing.fault_proxy import FaultProxy
from aisio.testing.fault_proxy import Trickle as Trickling
from aisio.transport.http.head_deadline import DeadlineReader, HeadDeadlineAdapter
from aisio.transport.http.response_body import body_of
from tests.http_server import Reply, Server

LONG_HEAD = Reply(200, b"ok", {f"X-{number}": "x" * 1000 for number in range(90)})
"""More than one receive returns."""


class Trickle(io.RawIOBase):
    """A stream that returns one byte at a time."""

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Return one byte."""
        buffer[:1] = b"x"
        return 1


def seconds() -> Callable[[], float]:
    """Return a clock that advances a second with each call."""
    ticks = count()
    return lambda: float(next(ticks))


def test_a_head_that_trickles_ends() -> None:
    """The limit counts from its first byte, and holds for the whole head."""
    reader = io.BufferedReader(DeadlineReader(Trickle(), 5, seconds()))
    with pytest.raises(TimeoutError, match="within the head"):
        reader.readline()


def test_a_slow_body_is_handed_over_flushing_slow_data() -> None:
    """The low-speed limit must see the bytes before a large buffer is full."""
    timed = DeadlineReader(Trickle(), float("inf"), seconds())
    reader = io.BufferedReader(timed)
    with timed.flushing_slow_data():
        assert reader.readinto(bytearray(100_000)) == 1
    with timed.flushing_slow_data():
        assert reader.read(100_000) == b"x"
    assert len(reader.read(100_000)) == 100_000


@pytest.mark.parametrize("into", [False, True])
def test_a_body_that_trickles_is_seen_through_urllib3(into: bool) -> None:
    """Its bytes come in many short reads, none is lost, and the connection is kept."""
    body = bytes(range(200)) * 20
    with (
        Server(Reply(200, body), Reply(200, body)) as server,
        FaultProxy(server.url) as proxy,
        requests.Session() as session,
    ):
        session.mount("http://", HeadDeadlineAdapter(10, 20))
        proxy.add(Trickling(1000, 0.3))
        reply = body_of(session.get(proxy.endpoint, stream=True).raw, "http://x/y")
        buffer, got = memoryview(bytearray(9000)), []
        while piece := bytes(buffer[: reply.readinto(buffer)]) if into else reply.read(9000):
            got.append(piece)
        assert b"".join(got) == body
        assert len(got) > 1
        assert session.get(proxy.endpoint).content == body


def test_a_body_has_no_such_limit() -> None:
    """A body may take as long as it likes, if it is fast enough."""
    reader = DeadlineReader(Trickle(), 5, seconds())
    reader.limit_s = float("inf")
    assert [reader.readinto(bytearray(1)) for _ in range(100)] == [1] * 100


@pytest.mark.parametrize("proxied", [False, True])
def test_a_control_call_is_not_held_by_a_slow_head(
    monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    """It is a timeout, directly and through an HTTP proxy."""
    with Server(LONG_HEAD, LONG_HEAD) as server:
        url = server.url
        if proxied:
            monkeypatch.setenv("http_proxy", server.url)
            monkeypatch.setenv("no_proxy", "")
            url = "http://cluster.invalid:8080"
        hasty = Timeouts(slow_s=1e-9)
        client = Session(Settings(url, timeouts=hasty, retry=RetryPolicy(attempts=1)))
        with pytest.raises(StoreTimeoutError, match="within the read timeout"):
            client.call("GET", "/v1/x")
        client.close()
        patient = Session(Settings(url))
        assert patient.call("GET", "/v1/x").body == b"ok"
        patient.close()


def test_a_connection_is_kept_and_bodies_are_whole() -> None:
    """The limit of one response does not count for the next one."""
    body = b"x" * 3_000_000
    with Server(*[Reply(200, body)] * 3) as server, requests.Session() as session:
        session.mount("http://", HeadDeadlineAdapter(10, 20))
        assert [session.get(server.url).content == body for _ in range(3)] == [True] * 3
        assert server.connections == 1
