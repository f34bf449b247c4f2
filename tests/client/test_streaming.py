"""StreamingRequests: open responses, requests ahead of their turn, and where a PUT goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aisio import stats
from aisio.client.session import Session
from aisio.client.streaming import StreamingRequests
from aisio.errors import AccessError, NotFoundError, StorageError, UnavailableError
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server
from tests.token_file import write_token

OK = Reply(200, b"ok")


@contextmanager
def streams_at(*replies: Reply) -> Iterator[tuple[Server, StreamingRequests]]:
    """Yield a scripted server, and streaming requests to it with a token."""
    with Server(*replies) as server:
        session = Session(Settings(server.url, token="abc", retry=RetryPolicy(attempts=1)))
        yield server, session.streams
        session.close()


def test_one_request_returns_even_a_redirect() -> None:
    """`open` follows none; a target's redirect means that the proxy must be asked."""
    with streams_at(Reply(307, headers={"Location": "/there"})) as (server, streams):
        response = streams.open("GET", f"{server.url}/x", headers={}, about="ais://b/o")
        assert (response.status, len(server.requests)) == (307, 1)
        response.close()


def test_only_the_endpoints_host_gets_the_token() -> None:
    """A target is another host, or another port."""
    with streams_at() as (server, streams):
        assert streams.headers_for(f"{server.url}/v1/x")["Authorization"] == "Bearer abc"
        assert "Authorization" not in streams.headers_for("http://127.0.0.1:9/v1/x")


def test_a_request_that_was_sent_ahead_is_counted_once() -> None:
    """Its response is read later; an error shows then."""
    with streams_at(OK, Reply(404)) as (server, streams):
        before = stats.totals()["requests"]
        url = f"{server.url}/x"
        for error in (None, NotFoundError):
            request = streams.send_ahead(url, headers={}, about="ais://b/o")
            assert request is not None
            if error is None:
                assert streams.finish(request, url, about="ais://b/o").read() == b"ok"
            else:
                with pytest.raises(error, match="GET ais://b/o"):
                    streams.finish(request, url, about="ais://b/o")
        assert stats.totals()["requests"] - before == len(server.requests) == 2


def test_nothing_is_sent_ahead_over_https() -> None:
    """urllib3 has no way to wait for the response later."""
    with streams_at() as (_, streams):
        assert streams.send_ahead("https://127.0.0.1:9/x", headers={}, about="x") is None


def test_a_host_that_cannot_be_reached_is_known_when_sending_ahead(unused_endpoint: str) -> None:
    """There is no connection that a response could come by."""
    with streams_at() as (_, streams), pytest.raises(UnavailableError, match="ais://b/o"):
        streams.send_ahead(f"{unused_endpoint}/x", headers={}, about="ais://b/o")


@pytest.mark.parametrize(("endpoint", "lines"), [("https://127.0.0.1:1", 1), ("", 0)])
def test_a_way_that_leaves_https_is_told_once(
    endpoint: str, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The user has asked for https, and nothing else would show it."""
    with Server(OK, OK) as server, Server(OK) as other:
        session = Session(Settings(endpoint or server.url))
        for url in (server.url, server.url, other.url):
            session.streams.open("GET", f"{url}/v1/x", headers={}, about="ais://b/o").read()
        session.close()
    assert caplog.text.count("unencrypted") == lines


def test_where_a_put_goes_is_found_out_by_its_headers() -> None:
    """The body crosses the network once; another host does not get the token."""
    moved = Reply(307, headers={"Location": "http://127.0.0.1:9/v1/x?a=b"}, unread=True)
    with streams_at(moved) as (server, streams):
        hop = streams.put_location("/v1/x", {"a": "b"}, 12, about="ais://b/o")
    request = server.requests[0]
    assert (request.method, request.target, request.body) == ("PUT", "/v1/x?a=b", b"")
    assert (request.headers["Content-Length"], request.headers["Connection"]) == ("12", "close")
    assert request.headers["Authorization"] == "Bearer abc"
    assert hop.url == "http://127.0.0.1:9/v1/x?a=b"
    assert (hop.headers["Content-Length"], hop.headers.get("Authorization")) == ("12", None)


def test_a_put_that_is_accepted_without_its_data_is_refused() -> None:
    """Something that is no AIStore endpoint would store nothing."""
    with (
        streams_at(Reply(200, unread=True)) as (_, streams),
        pytest.raises(StorageError, match="answered 200 before it had the data"),
    ):
        streams.put_location("/v1/x", {"a": "b"}, 12, about="ais://b/o")


@contextmanager
def streams_with_token_file(
    file: Path, *replies: Reply
) -> Iterator[tuple[Server, StreamingRequests]]:
    """Yield a scripted server, and requests to it with a token that a file has just replaced."""
    with Server(*replies) as server:
        write_token(file, "first")
        settings = Settings(
            server.url, token="first", token_file=str(file), retry=RetryPolicy(attempts=1)
        )
        session = Session(settings)
        session.streams.headers_for(server.url)
        write_token(file, "second")
        yield server, session.streams
        session.close()


def tokens_of(server: Server) -> list[str | None]:
    """Return the Authorization header of each request."""
    return [request.headers["Authorization"] for request in server.requests]


def test_a_refused_token_is_replaced_by_that_of_its_file(tmp_path: Path) -> None:
    """The request is sent again, as it was."""
    replies = [Reply(401, b"token expired"), OK]
    with streams_with_token_file(tmp_path / "token", *replies) as (server, streams):
        response = streams.open_following_redirects(
            "GET", "/v1/x", headers={"Range": "bytes=0-1"}, body=b"{}", about="ais://b/o"
        )
        assert response.read() == b"ok"
    assert tokens_of(server) == ["Bearer first", "Bearer second"]
    assert [request.headers["Range"] for request in server.requests] == ["bytes=0-1"] * 2
    assert [request.body for request in server.requests] == [b"{}"] * 2


def test_a_request_that_was_sent_ahead_with_an_old_token_is_sent_again(tmp_path: Path) -> None:
    """The token may have been replaced between the request and the reading of its response."""
    replies = [Reply(401, b"token expired")] * 2 + [OK]
    with streams_with_token_file(tmp_path / "token", *replies) as (server, streams):
        url = f"{server.url}/v1/x"
        sent = streams.send_ahead(url, headers=streams.headers_for(url), about="ais://b/o")
        response = streams.open_following_redirects("GET", "/v1/x", about="ais://b/o", sent=sent)
        assert response.read() == b"ok"
    assert tokens_of(server) == ["Bearer first", "Bearer first", "Bearer second"]


def test_where_a_put_goes_is_asked_again_with_a_new_token(tmp_path: Path) -> None:
    """Nothing of the data has been sent yet."""
    there = Reply(307, headers={"Location": "{server}/there?u=1"}, unread=True)
    replies = [Reply(401, b"token expired", unread=True), there]
    with streams_with_token_file(tmp_path / "token", *replies) as (server, streams):
        target = streams.put_location("/v1/x", {}, 4, about="ais://b/o")
        assert target.url == f"{server.url}/there?u=1"
    assert tokens_of(server) == ["Bearer first", "Bearer second"]


def test_where_a_put_goes_on_the_same_server_gets_the_new_token(tmp_path: Path) -> None:
    """A gateway is its own target, and demands the token of both requests."""
    there = Reply(307, headers={"Location": "{server}/there"}, unread=True)
    replies = [Reply(401, b"token expired", unread=True), there]
    with streams_with_token_file(tmp_path / "token", *replies) as (_, streams):
        target = streams.put_location("/v1/x", {}, 4, about="ais://b/o")
        assert target.headers["Authorization"] == "Bearer second"


def test_a_token_without_a_file_is_refused_once() -> None:
    """There is no other to try."""
    with (
        streams_at(Reply(401, b"token expired")) as (server, streams),
        pytest.raises(AccessError, match="token expired"),
    ):
        streams.open_following_redirects("GET", "/v1/x", about="ais://b/o")
    assert len(server.requests) == 1
