"""Idle connections of a session: shared, replaced when the server drops them, never inherited."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aisio.client.session import Session
from aisio.errors import StoreTimeoutError, UnavailableError
from aisio.records import RetryPolicy, Settings, Timeouts, TlsFiles
from tests.http_server import Reply, Server
from tests.resources.certificates import make_authority

OK = Reply(200, b"ok")


def client_of(url: str, **changes: Any) -> Session:
    """Return a session that does not retry."""
    return Session(Settings(url, **({"retry": RetryPolicy(attempts=1)} | changes)))


def stream(client: Session) -> bytes:
    """Send a GET and return the body."""
    return client.streams.open_following_redirects("GET", "/v1/x", about="ais://b/o").read()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_on_a_kept_connection_that_was_dropped_is_sent_again(method: str) -> None:
    """At once and on a new connection: the server had closed the old one, or was about to."""
    with Server(OK, Reply(0), OK) as server:
        client = client_of(server.url)
        for _ in range(2):
            reply = client.streams.open_following_redirects(method, "/v1/x")
            assert reply.read() == (b"" if method == "HEAD" else b"ok")
            reply.release_conn()
        client.close()
        assert (len(server.requests), server.connections) == (3, 2)


def test_a_read_that_is_dropped_on_a_new_connection_too_is_an_error() -> None:
    """A new connection does not break because it was idle."""
    with Server(OK, Reply(0), Reply(0), OK) as server:
        client = client_of(server.url)
        assert stream(client) == b"ok"
        with pytest.raises(UnavailableError, match="ais://b/o: no answer from"):
            stream(client)
        client.close()
        assert len(server.requests) == 3


def test_silence_on_a_kept_connection_is_not_sent_again() -> None:
    """The server has the request, and may be working on it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = client_of(
            f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=Timeouts(5, 0.2)
        )

        def answer_once() -> socket.socket:
            there, _ = listener.accept()
            there.recv(65536)
            there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return there

        server = threading.Thread(target=lambda: kept.append(answer_once()))
        kept: list[socket.socket] = []
        server.start()
        assert stream(client) == b"ok"
        server.join()
        with pytest.raises(StoreTimeoutError):
            stream(client)
        client.close()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        kept[0].close()


def read_in_threads(client: Session, threads: int) -> None:
    """Read once in each of some threads, one after the other; each closes its connections."""

    def read() -> None:
        reply = client.streams.open_following_redirects("GET", "/v1/x", about="ais://b/o")
        assert reply.read() == b"ok"
        reply.release_conn()
        client.close_thread_connections()

    for _ in range(threads):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    client.close()


def test_threads_share_what_connections_there_are() -> None:
    """Threads that read one after the other need one connection, which none of them closes."""
    with Server(*[OK] * 8) as server:
        read_in_threads(client_of(server.url), 8)
        assert len(server.requests) == 8
        assert server.connections == 1


def test_connections_grow_with_reads_at_once_not_with_threads_times_hosts() -> None:
    """Otherwise a large cluster would need thousands. In this test one thread reads at a time."""
    hosts, threads, rounds = 4, 6, 3
    turn = threading.Lock()
    with ExitStack() as stack:
        replies = [OK] * threads * rounds
        servers = [stack.enter_context(Server(*replies)) for _ in range(hosts)]
        client = client_of(servers[0].url)

        def read() -> None:
            for server in servers * rounds:
                with turn:
                    reply = client.streams.open("GET", f"{server.url}/x", headers={}, about="x")
                    assert reply.read() == b"ok"

        workers = [threading.Thread(target=read) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        client.close()
        assert [len(server.requests) for server in servers] == [threads * rounds] * hosts
        assert [server.connections for server in servers] == [1] * hosts


def test_headers_of_threads_are_not_mixed_up() -> None:
    """The encoder keeps the lines of the last headers, and another thread may replace them."""
    count, threads = 200, 4
    with Server(*[OK] * count * threads) as server:
        client = client_of(server.url)

        def read(name: str) -> None:
            for number in range(count):
                headers = {"X-Thread": name, "X-Number": str(number % 2)}
                reply = client.streams.open(
                    "GET", f"{server.url}/{name}", headers=headers, about="x"
                )
                assert reply.read() == b"ok"

        workers = [threading.Thread(target=read, args=(str(number),)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        client.close()
    assert len(server.requests) == count * threads
    assert all(request.target == f"/{request.headers['X-Thread']}" for request in server.requests)


def test_a_forked_child_leaves_the_kept_connections_alone() -> None:
    """It opens its own, and those that it closes stay open in its parent."""
    with Server(*[OK] * 3) as server:
        client = client_of(server.url)
        assert stream(client) == b"ok"
        child = multiprocessing.get_context("fork").Process(target=stream, args=(client,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert stream(client) == b"ok"
        client.close()
    assert server.connections == 2


def test_kept_connections_that_went_silent_cost_one_timeout_not_one_each() -> None:
    """A firewall may drop all of them at the same time: the next try is on a new connection."""
    kept = 4
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = client_of(
            f"http://127.0.0.1:{listener.getsockname()[1]}",
            timeouts=Timeouts(5, 0.3),
            retry=RetryPolicy(attempts=2, first_wait_s=0.0),
        )
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        theirs: list[socket.socket] = []

        def serve() -> None:
            for _ in range(kept + 1):
                theirs.append(listener.accept()[0])
                theirs[-1].recv(1000)
                theirs[-1].sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        replies = [
            client.streams.open_following_redirects("GET", "/v1/x", about="ais://b/o")
            for _ in range(kept)
        ]
        assert [reply.read() for reply in replies] == [b"ok"] * kept
        assert client.retry(lambda: stream(client)) == b"ok"
        server.join()
        client.close()
        for one in theirs:
            one.close()


def test_a_child_does_not_hold_its_parents_connections_open() -> None:
    """The child may live for long and never read: the server must see what the parent closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = client_of(f"http://127.0.0.1:{listener.getsockname()[1]}")
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        theirs: list[socket.socket] = []

        def serve() -> None:
            theirs.append(listener.accept()[0])
            theirs[0].recv(1000)
            theirs[0].sendall(answer)

        sender = threading.Thread(target=serve)
        sender.start()
        assert stream(client) == b"ok"
        sender.join()
        context = multiprocessing.get_context("fork")
        may_end = context.Event()
        child = context.Process(target=may_end.wait)
        child.start()
        client.close()
        theirs[0].settimeout(5)
        try:
            assert theirs[0].recv(1) == b""
        finally:
            may_end.set()
            child.join()
            theirs[0].close()


def test_threads_share_connections_over_tls_too(tmp_path: Path) -> None:
    """One host needs as many as there are reads at the same time."""
    authority = make_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    with Server(*[OK] * 8) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http://", "https://")
        read_in_threads(client_of(url, tls=TlsFiles(ca_file=str(authority.ca))), 8)
        assert len(server.requests) == 8
        assert server.connections == 1
