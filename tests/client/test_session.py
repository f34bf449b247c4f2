"""Session: which process and thread owns its sockets, and what both kinds of requests do."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest

from aisio.client.session import Session
from aisio.errors import (
    AccessError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import RetryPolicy, Settings, Timeouts, TlsFiles
from tests.http_server import Reply, Server

OK = Reply(200, b"ok")
AT_ONCE = RetryPolicy(attempts=4, first_wait_s=0)
"""Retries that do not wait."""

Send = Callable[[Session], Any]


def client_of(url: str, **changes: Any) -> Session:
    """Return a session that retries without waiting."""
    return Session(Settings(url, **({"retry": AT_ONCE} | changes)))


def call(client: Session) -> bytes:
    """Send a control message."""
    return client.call("DELETE", "/v1/x", query={"provider": "ais"}, message={"a": 1}).body


def stream(client: Session) -> bytes:
    """Send a GET and return the body."""
    return client.streams.open_following_redirects(
        "GET", "/v1/x", query={"provider": "ais"}, about="ais://b/o"
    ).read()


both_kinds = pytest.mark.parametrize("send", [call, stream])


def in_thread(work: Callable[[], object]) -> Any:
    """Run something in a thread of its own and return its result."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


FORKED = """
import multiprocessing, os, sys
from aisio.records import Settings
from aisio.client.session import Session

def child(pipe, client, parents):
    client.call("GET", "/child")
    pipe.send((os.getpid(), client.http_session is not parents))

if __name__ == "__main__":
    client = Session(Settings(sys.argv[1]))
    client.call("GET", "/parent")
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=child, args=(theirs, client, client.http_session)
    )
    process.start()
    pid, other_session = mine.recv()
    process.join()
    client.call("GET", "/parent")
    assert pid == process.pid != os.getpid()
    assert other_session
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_makes_its_own_connection(root: Path) -> None:
    """AIS-17: the parent's socket goes on working, the child never touches it."""
    with Server(OK, OK, OK) as server:
        environ = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(root)])}
        subprocess.run([sys.executable, "-c", FORKED, server.url], check=True, env=environ)
    assert [request.target for request in server.requests] == ["/parent", "/child", "/parent"]
    assert server.connections == 2


def test_what_pickles_is_the_settings() -> None:
    """AIS-17: a copy has the token and no sockets; it makes its own."""
    with Server(OK, OK) as server:
        client = client_of(server.url, token="t")
        call(client)
        copy = pickle.loads(pickle.dumps(client))
        assert copy.settings == client.settings
        call(copy)
        assert [r.headers["Authorization"] for r in server.requests] == ["Bearer t", "Bearer t"]
        assert server.connections == 2
        copy.close()
        client.close()


def test_what_is_known_of_buckets_pickles_too() -> None:
    """A spawned worker need not ask again."""
    session = client_of("http://h")
    session.bucket_checksums._warned_of.add("ais://b")
    copy: Session = pickle.loads(pickle.dumps(session))
    assert copy.bucket_checksums._warned_of == {"ais://b"}


def test_a_session_that_nobody_has_is_freed_at_once() -> None:
    """With its connections, also where a training loop has switched the garbage collector off."""
    gc.collect()
    gc.disable()
    try:
        with Server(Reply(200, b"[]"), Reply(200, b"x")) as server:
            session = client_of(server.url)
            assert (call(session), stream(session)) == (b"[]", b"x")
            left = weakref.ref(session)
            del session
            assert left() is None
    finally:
        gc.enable()


def test_each_kind_of_request_keeps_its_connection() -> None:
    """One connection for control calls and one for bytes, however many requests."""
    with Server(OK, OK, OK, OK) as server:
        client = client_of(server.url)
        for send in (call, stream, call, stream):
            assert send(client) == b"ok"
        assert server.connections == 2
        client.close()


def test_closing_is_for_one_thread() -> None:
    """Other threads keep their connections; this one opens new ones when it needs them."""
    with Server(OK, OK) as server:
        client = client_of(server.url)
        seen: list[bool] = []
        closed, looked = threading.Event(), threading.Event()

        def other() -> None:
            session = client.http_session
            looked.set()
            closed.wait()
            seen.append(client.http_session is session)

        thread = threading.Thread(target=other)
        thread.start()
        looked.wait()
        mine = client.http_session
        call(client)
        client.close()
        client.close()
        closed.set()
        thread.join()
        assert seen == [True]
        assert client.http_session is not mine
        assert call(client) == b"ok"
        client.close()
        assert server.connections == 2


@both_kinds
def test_a_request_names_its_client(send: Send) -> None:
    """It has user agent and token, and the given query."""
    with Server(OK) as server:
        client = client_of(server.url, token="abc")
        send(client)
        client.close()
    request = server.requests[0]
    assert request.target == "/v1/x?provider=ais"
    assert request.headers["Authorization"] == "Bearer abc"
    assert request.headers["User-Agent"].startswith("aisio/")


@both_kinds
def test_without_a_token_none_is_sent(send: Send, tmp_path: Path, monkeypatch: Any) -> None:
    """Neither is one from ~/.netrc, where requests would look, nor after a redirect."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Server(Reply(307, headers={"Location": "{server}/there"}), OK) as server:
        client = client_of(server.url)
        send(client)
        client.close()
    assert [request.headers["Authorization"] for request in server.requests] == [None, None]


@both_kinds
def test_a_token_stays_with_its_host(send: Send) -> None:
    """After a redirect a target needs no token, and another host must not get it."""
    with Server(OK) as target, Server(Reply(307, headers={"Location": target.url})) as proxy:
        client = client_of(proxy.url, token="abc")
        assert send(client) == b"ok"
        client.close()
    assert proxy.requests[0].headers["Authorization"] == "Bearer abc"
    assert target.requests[0].headers["Authorization"] is None


@both_kinds
def test_a_token_goes_along_on_the_same_host(send: Send) -> None:
    """A gateway redirects to itself."""
    with Server(Reply(307, headers={"Location": "/v1/there?pid=1"}), OK) as server:
        client = client_of(server.url, token="abc")
        assert send(client) == b"ok"
        client.close()
    assert server.requests[1].target == "/v1/there?pid=1"
    assert server.requests[1].headers["Authorization"] == "Bearer abc"


@both_kinds
def test_a_redirect_to_an_odd_name_goes_to_that_name(send: Send) -> None:
    """AIStore does not encode blanks and tabs, and urllib.parse would remove tabs."""
    with Server(Reply(307, headers={"Location": "{server}/t\tab and b%3F?pid=1"}), OK) as server:
        client = client_of(server.url)
        send(client)
        client.close()
    assert server.requests[1].target == "/t%09ab%20and%20b%3F?pid=1"


@pytest.mark.parametrize("kind", ["call", "stream"])
def test_a_redirect_that_lost_a_line_break_is_not_followed(kind: str) -> None:
    """AIStore writes a blank in its place: another object would be read, replaced or deleted."""
    lost, kept = (Reply(307, headers={"Location": name}) for name in ("/a b", "/there%0A"))
    with Server(lost, kept, OK) as server:
        client = client_of(server.url)
        send = client.call if kind == "call" else client.streams.open_following_redirects
        with pytest.raises(StorageError, match="without the line break"):
            send("DELETE", "/a%0Ab")
        send("DELETE", "/a%0Ab")
        client.close()
    assert [request.target for request in server.requests] == ["/a%0Ab", "/a%0Ab", "/there%0A"]


@both_kinds
def test_a_redirect_loop_ends(send: Send) -> None:
    """After three redirects, and without another try."""
    with Server(*[Reply(307, headers={"Location": "{server}/again"})] * 9) as server:
        client = client_of(server.url)
        with pytest.raises(StorageError, match="3 redirects") as caught:
            send(client)
        client.close()
    assert type(caught.value) is StorageError
    assert len(server.requests) == 4


def test_a_redirect_to_nowhere_is_an_error() -> None:
    """It has no Location, or one that is not an http URL."""
    with Server(Reply(307), Reply(307, headers={"Location": "file:///etc/passwd"})) as server:
        client = client_of(server.url)
        with pytest.raises(IntegrityError, match=r"ais://b/o: redirected \(307\) without"):
            stream(client)
        with pytest.raises(IntegrityError, match="ais://b/o: redirected to 'file:"):
            stream(client)
        client.close()
    assert len(server.requests) == 2


@both_kinds
@pytest.mark.parametrize("status", [404, 400, 401, 403, 409, 416])
def test_a_refusal_takes_one_round_trip(send: Send, status: int) -> None:
    """A 404 is a result, not a failure: the official client sends the request seven times."""
    with Server(Reply(status, b'{"message": "no, never"}'), OK) as server:
        client = client_of(server.url)
        with pytest.raises(StorageError, match=f"{status} no, never") as caught:
            client.retry(lambda: send(client))
        client.close()
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_the_reason_of_a_refused_head_is_in_a_header() -> None:
    """HEAD has no body; AIStore sends the same JSON as Hdr-Error."""
    reason = Reply(404, headers={"Hdr-Error": '{"message": "no such object"}'})
    with Server(reason, reason) as server:
        client = client_of(server.url)
        with pytest.raises(NotFoundError, match="404 no such object"):
            client.call("HEAD", "/v1/x")
        with pytest.raises(NotFoundError, match="404 no such object"):
            client.streams.open_following_redirects("HEAD", "/v1/x")
        client.close()


@pytest.mark.parametrize("bad", [Reply(429), Reply(500), Reply(502), Reply(503), Reply(0)])
def test_a_control_call_is_tried_again(bad: Reply) -> None:
    """Throttling, internal errors and closed connections may pass by themselves."""
    with Server(bad, bad, OK) as server:
        client = client_of(server.url)
        assert call(client) == b"ok"
        client.close()
    assert len(server.requests) == 3


def test_the_last_error_has_the_number_of_tries() -> None:
    """It is the store's own error, with its status."""
    with Server(*[Reply(503, b"starting")] * 4) as server:
        client = client_of(server.url)
        with pytest.raises(UnavailableError, match=r"503 starting \(gave up after 4 tries"):
            call(client)
        client.close()
    assert len(server.requests) == 4


def test_what_is_not_safe_to_repeat_is_tried_once() -> None:
    """After a lost response nobody knows whether a POST was carried out."""
    with Server(Reply(503), OK) as server:
        client = client_of(server.url)
        with pytest.raises(UnavailableError):
            client.call("POST", "/v1/x", safe=False)
        client.close()
    assert len(server.requests) == 1


@both_kinds
def test_a_refused_connection_is_unavailable(send: Send) -> None:
    """The text has the host and the innermost cause, and no address of a Python object."""
    with Server() as server:
        pass
    client = client_of(server.url)
    with pytest.raises(UnavailableError) as caught:
        send(client)
    text = str(caught.value)
    assert f"no answer from {server.url[7:]}: ConnectionRefusedError: [Errno" in text
    assert "0x" not in text


def test_a_refused_connection_is_tried_again() -> None:
    """The cluster may be starting."""
    with Server() as server:
        pass
    with pytest.raises(UnavailableError, match="gave up after 4 tries"):
        call(client_of(server.url))


@both_kinds
def test_a_silent_server_is_a_timeout(send: Send) -> None:
    """It accepts the connection and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        timeouts = Timeouts(connect_s=5, read_s=0.02)
        client = client_of(url, timeouts=timeouts, retry=RetryPolicy(attempts=1))
        with pytest.raises(
            StoreTimeoutError, match="no bytes from 127.0.0.1:.* within the read timeout"
        ):
            send(client)
        client.close()


@both_kinds
def test_retry_after_is_carried_by_the_error(send: Send) -> None:
    """The retry loop obeys it."""
    with Server(Reply(429, headers={"Retry-After": "7"})) as server:
        client = client_of(server.url, retry=RetryPolicy(attempts=1))
        with pytest.raises(ThrottledError) as caught:
            send(client)
        client.close()
    assert caught.value.retry_after_s == 7


@both_kinds
def test_proxies_of_the_environment_are_used(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP proxy gets the absolute URL."""
    with Server(OK) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        client = client_of("http://cluster.invalid:8080")
        assert send(client) == b"ok"
        client.close()
    assert proxy.requests[0].target == "http://cluster.invalid:8080/v1/x?provider=ais"


@both_kinds
def test_no_proxy_is_honoured(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster in the local network is not behind the proxy."""
    with Server(OK) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        client = client_of(server.url)
        assert send(client) == b"ok"
        client.close()


@both_kinds
def test_the_clients_own_authorities_beat_those_of_requests(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE counts only without an own setting; in this test the handshake fails."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with Server() as server:
        url = server.url.replace("http:", "https:")
        client = client_of(url, tls=TlsFiles(ca_file=certifi.where()))
        with pytest.raises(AccessError, match="TLS with .* failed.*is https:// right"):
            send(client)
        client.close()


@both_kinds
@pytest.mark.parametrize("argument", ["ca_file", "client_cert_file", "client_key_file"])
def test_a_missing_tls_file_is_a_wrong_setting(send: Send, argument: str) -> None:
    """Not an unreachable store: no retry would help."""
    files: Any = {argument: "/nowhere/x.pem"}
    client = client_of("https://127.0.0.1:1", tls=TlsFiles(**files))
    with pytest.raises(ConfigError, match="'/nowhere/x.pem'.*AIS_C"):
        send(client)
