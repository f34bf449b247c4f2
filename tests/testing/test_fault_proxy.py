"""FaultProxy breaks the requests that match a rule, and nothing else."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from aisio.errors import ConfigError
from aisio.testing.fault_proxy import (
    Corrupt,
    Cut,
    Fault,
    FaultProxy,
    Misroute,
    Refuse,
    Restart,
    Stall,
    Status,
    Trickle,
)
from tests.origin_server import BODY, Result, send


@pytest.mark.parametrize("after_bytes", [0, 1, 70_000, len(BODY) - 1])
@pytest.mark.parametrize("reset", [False, True])
def test_cut_ends_the_body_where_it_says(proxy, after_bytes, reset, connect):
    """Exactly the bytes before the cut are sent, then the connection ends."""
    proxy.add(Cut(after_bytes, reset=reset))
    got = send(connect(proxy.endpoint))
    assert got.body == BODY[: len(got.body)]
    assert got.error in (("cut",) if not reset else ("ConnectionResetError",))
    assert len(got.body) == after_bytes or (reset and len(got.body) < after_bytes)
    (seen,) = proxy.requests
    assert (seen.fault, seen.sent_bytes) == ("Cut", after_bytes)
    assert send(connect(proxy.endpoint)).body == BODY


def test_cut_inside_chunks_leaves_them_open(proxy, connect):
    """A chunked body that is cut has no last chunk."""
    proxy.add(Cut(7))
    got = send(connect(proxy.endpoint), "/chunked")
    assert (got.body, got.error) == (b"hello w", "IncompleteRead")


@pytest.mark.parametrize("at_byte", [0, 65_536, 65_535, len(BODY) - 1])
def test_corrupt_inverts_one_byte(proxy, at_byte, connect):
    """One byte differs, and nothing else does."""
    proxy.add(Corrupt(at_byte))
    got = send(connect(proxy.endpoint))
    assert (got.status, len(got.body), got.error) == (200, len(BODY), "")
    assert [i for i, (a, b) in enumerate(zip(got.body, BODY, strict=True)) if a != b] == [at_byte]


@pytest.mark.parametrize("after_bytes", [0, 100_000])
def test_stall_sends_so_much_and_waits(proxy, after_bytes, connect):
    """Silence after the first bytes; once released, the rest comes."""
    proxy.add(Stall(after_bytes))
    connection = connect(proxy.endpoint)
    connection.request("GET", "/x")
    response = connection.getresponse()
    begin = response.read(after_bytes)
    connection.sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        connection.sock.recv(1, socket.MSG_PEEK)
    connection.sock.settimeout(30)
    assert proxy.requests[0].sent_bytes == after_bytes
    proxy.release()
    assert begin + response.read() == BODY


def test_stall_can_hold_back_the_whole_answer(proxy, connect):
    """Without a number not even the status comes, until released."""
    proxy.add(Stall(), path="/x")
    answers: list[Result] = []
    thread = threading.Thread(target=lambda: answers.append(send(connect(proxy.endpoint))))
    thread.start()
    assert send(connect(proxy.endpoint), "/name/other").status == 200  # others are served meanwhile
    assert not answers
    while thread.is_alive():
        proxy.release()
    assert answers[0].body == BODY


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Refuse(), "ConnectionResetError"), (Refuse(reset=False), "RemoteDisconnected")],
)
def test_refuse_hangs_up_without_a_request_to_the_server(proxy, fault, error, connect):
    """The request is logged, and has no answer."""
    proxy.add(fault)
    assert send(connect(proxy.endpoint)).error == error
    assert proxy.requests[0].status == 0
    assert send(connect(proxy.endpoint)).error == ""


@pytest.mark.parametrize(("status", "wait", "header"), [(429, 3, "3"), (503, None, None)])
def test_status_is_answered_by_the_proxy(proxy, status, wait, header, connect):
    """The given status and Retry-After, on a connection that stays open."""
    proxy.add(Status(status, retry_after_s=wait), times=2)
    connection = connect(proxy.endpoint)
    got = send(connection)
    assert (got.status, got.headers["Retry-After"], got.error) == (status, header, "")
    assert send(connection, method="HEAD")[:2] == (status, b"")
    assert (send(connection).body, proxy.connections) == (BODY, 1)


def test_status_in_answer_to_a_large_body_arrives(proxy, connect):
    """A client that is still sending gets the response, not a reset."""
    proxy.add(Status(503))
    assert send(connect(proxy.endpoint), method="PUT", body=bytes(8 << 20)).status == 503


def test_restart_breaks_all_connections_and_refuses_the_next(proxy, connect):
    """Idle connections die too; so many new ones are refused, then all is well."""
    idle = connect(proxy.endpoint)
    assert send(idle, "/name/a").status == 200
    proxy.add(Restart(refused_connections=2), path="/x")
    errors = [send(connect(proxy.endpoint)).error for _ in range(4)]
    assert errors == ["ConnectionResetError"] * 3 + [""]
    assert send(idle, "/name/b").error == "ConnectionResetError"
    assert proxy.connections == 5


def test_server_that_is_down_refuses_until_it_is_up(proxy, connect):
    """No one listens; afterwards the same endpoint works."""
    kept = connect(proxy.endpoint)
    send(kept)
    proxy.take_down()
    assert send(connect(proxy.endpoint)).error == "ConnectionRefusedError"
    assert send(kept).error == "ConnectionResetError"
    proxy.bring_up()
    assert send(connect(proxy.endpoint)).body == BODY


def test_trickle_sends_small_pieces(proxy, connect):
    """No piece is larger than the rule says, which chunks show, and none is lost."""
    proxy.add(Trickle(piece_bytes=2))
    proxy.add(Trickle(piece_bytes=1000))
    host, _, port = proxy.endpoint.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /chunked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with connection.makefile("rb") as reply:
            chunks = reply.read().partition(b"\r\n\r\n")[2].split(b"\r\n")[1:-2:2]
    assert (max(map(len, chunks)), b"".join(chunks)) == (2, b"hello world")
    assert send(connect(proxy.endpoint)).body == BODY


def test_misroute_answers_with_another_reply(proxy, connect):
    """The last other request's reply comes, or that of a target named; never one's own."""
    proxy.add(Misroute(), times=None)
    connection = connect(proxy.endpoint)
    bodies = [send(connection, f"/name/{name}").body for name in "aab"]
    assert bodies == [b"/name/a", b"/name/a", b"/name/a"]
    proxy.clear()
    proxy.add(Misroute("/name/z?q"))
    assert send(connection, "/name/a").body == b"/name/z"
    assert [seen.fault for seen in proxy.requests] == ["", "", "Misroute", "Misroute"]
    assert proxy.requests[3].path == "/name/a"


def test_rules_choose_by_method_path_and_count(proxy, connect):
    """The first rule that fits is it; it skips, applies so many times, and is gone."""
    proxy.add(Status(418), method="GET", path="/name/*.tar", skip=1, times=2)
    proxy.add(Status(429), path="/name/b*", times=None)
    connection = connect(proxy.endpoint)
    names = ["a.tar", "b.tar", "a.tar", "a.tar", "b", "c", "b.tar"]
    assert [send(connection, f"/name/{name}").status for name in names] == [
        200,  # skipped by the first, no business of the second
        418,
        418,
        200,  # the first is gone
        429,
        200,
        429,
    ]
    assert send(connection, "/name/a.tar", "DELETE").status == 200
    proxy.clear()
    assert send(connection, "/name/b").status == 200


def test_faults_tell_apart_what_they_break(proxy, connect):
    """Every fault changes something, and the request after it finds all in order."""
    send(connect(proxy.endpoint), "/name/first")
    faults: list[Fault] = [Cut(9), Corrupt(9), Refuse(), Status(500), Restart(0), Misroute()]
    for fault in faults:
        proxy.add(fault)
        assert send(connect(proxy.endpoint)).body != BODY, fault
        assert send(connect(proxy.endpoint)).body == BODY, fault


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "127.0.0.1:80", "http://h/s3", ""])
def test_url_that_cannot_be_proxied_is_refused(url):
    """Only a plain http host can be proxied; nothing is started otherwise."""
    with pytest.raises(ConfigError, match="expected http://host:port"):
        FaultProxy(url).start()


def test_proxy_takes_commands_only_while_it_runs(proxy, connect):
    """After its end it says so, and ending it twice is harmless."""
    proxy.stop()
    proxy.stop()
    with pytest.raises(ConfigError, match="only inside its with block"):
        proxy.add(Refuse())
    assert send(connect(proxy.endpoint)).error == "ConnectionRefusedError"


# The server's thread is not needed in the child; Python 3.12 warns of it all the same.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_proxy_survives_a_forked_worker(proxy, connect):
    """A child that ends leaves its parent's proxy alone, and can talk through it."""
    child = os.fork()
    if not child:
        status = 1
        try:
            proxy.stop()
            status = 0 if send(connect(proxy.endpoint)).body == BODY else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert [seen.path for seen in proxy.requests] == ["/x"]
