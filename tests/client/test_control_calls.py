"""Control calls: redirects keep the message, and answers are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aisio.client.session import Session
from aisio.errors import AccessError, StorageError
from aisio.records import RetryPolicy, Settings
from aisio.transport.http.urls import MAX_REDIRECTS
from aisio.transport.retries import WALL_CLOCK
from tests.endless_server import Endless
from tests.http_server import Reply, Server
from tests.token_file import write_token

OK = Reply(200, b"ok")


def session_at(url: str, attempts: int = 1) -> Session:
    """Return a session that retries without waiting."""
    return Session(Settings(url, retry=RetryPolicy(attempts=attempts, first_wait_s=0)))


def test_a_redirected_message_keeps_method_body_and_accept() -> None:
    """307 is AIStore's redirect for all but GET."""
    with Server(Reply(307, headers={"Location": "{server}/there"}), OK) as server:
        session = session_at(server.url)
        session.call("DELETE", "/v1/x", message={"a": 1}, accept="application/x")
        session.close()
    assert [request.method for request in server.requests] == ["DELETE", "DELETE"]
    assert [request.body for request in server.requests] == [b'{"a": 1}', b'{"a": 1}']
    assert [request.headers["Accept"] for request in server.requests] == ["application/x"] * 2


def test_a_cut_response_is_tried_again() -> None:
    """Half a page is no page."""
    with Server(Reply(200, b"o", {"Content-Length": "2"}), OK) as server:
        session = session_at(server.url, attempts=2)
        assert session.call("GET", "/v1/x").body == b"ok"
        session.close()


def test_the_body_of_a_redirect_is_not_read() -> None:
    """It says nothing, and may have no end."""
    with Endless(307) as server:
        session = session_at(server.url)
        with pytest.raises(StorageError, match="more than 3 redirects"):
            session.call("GET", "/v1/x")
        session.close()
    assert server.answered == MAX_REDIRECTS + 1


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_does_not_turn_a_change_into_a_read(status: int) -> None:
    """A login page is no answer to DELETE; AIStore redirects by 307, which keeps the method."""
    with Server(Reply(status, headers={"Location": "/login"}), Reply(200)) as server:
        session = session_at(server.url)
        with pytest.raises(
            StorageError, match=f"redirected by {status}, which would make it a GET"
        ):
            session.call("DELETE", "/v1/x", about="ais://b")
        session.close()
    assert len(server.requests) == 1


def bearer_of(server: Server) -> list[str]:
    """Return the token of each request."""
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in server.requests]


def test_a_refused_token_is_replaced_by_that_of_its_file(tmp_path: Path) -> None:
    """The message was not acted on: even one that may be sent only once is sent again."""
    file = write_token(tmp_path / "token", "first")
    with Server(OK, Reply(401, b"token expired"), OK, OK) as server:
        settings = Settings(server.url, token="first", token_file=str(file))
        session = Session(settings)
        session.call("GET", "/v1/x")
        write_token(file, "second")
        session.call("POST", "/v1/x", message={"a": 1}, safe=False)
        session.call("GET", "/v1/x")
        session.close()
    assert bearer_of(server) == ["first", "first", "second", "second"]
    assert server.requests[2].body == b'{"a": 1}'


def test_a_token_that_was_accepted_before_is_waited_for(tmp_path: Path) -> None:
    """What renews it may be a moment late; a token that was never right is refused at once."""
    file = write_token(tmp_path / "token", "first")
    expired = Reply(401, b"token expired")
    with Server(OK, expired, expired, OK) as server:
        waits: list[float] = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                write_token(file, "second")

        settings = Settings(server.url, token="first", token_file=str(file))
        session = Session(settings, replace(WALL_CLOCK, wait=wait))
        for _ in range(2):
            assert session.call("GET", "/v1/x").body == b"ok"
        session.close()
    assert bearer_of(server) == ["first", "first", "first", "second"]


def test_a_later_token_is_waited_for_as_well(tmp_path: Path) -> None:
    """It may have expired before it was used, by whichever kind of request."""
    file = write_token(tmp_path / "token", "first")
    with Server(OK, Reply(401, b"token expired"), OK) as server:
        retry = RetryPolicy(attempts=2, first_wait_s=0)
        session = Session(Settings(server.url, token="first", token_file=str(file), retry=retry))
        session.streams.open_following_redirects("GET", "/v1/x", about="ais://b/o").read()
        write_token(file, "second")
        assert session.call("GET", "/v1/x").body == b"ok"
        session.close()
    assert bearer_of(server) == ["first", "second", "second"]


def test_a_token_that_is_not_replaced_ends_the_retries(tmp_path: Path) -> None:
    """The error names the file, and not the token."""
    file = write_token(tmp_path / "token", "s3cret")
    expired = Reply(401, b"token expired")
    with Server(OK, expired, expired) as server:
        retry = RetryPolicy(attempts=2, first_wait_s=0)
        settings = Settings(server.url, token="s3cret", token_file=str(file), retry=retry)
        session = Session(settings)
        session.call("GET", "/v1/x")
        with pytest.raises(AccessError, match=r"no new token in .*token yet \(gave up") as caught:
            session.call("GET", "/v1/x")
        session.close()
    assert "s3cret" not in str(caught.value)


def test_a_refused_token_that_is_still_in_its_file_is_an_error(tmp_path: Path) -> None:
    """It is sent once, and not shown."""
    file = write_token(tmp_path / "token", "s3cret")
    with Server(Reply(401, b"token expired")) as server:
        session = Session(Settings(server.url, token="s3cret", token_file=str(file)))
        with pytest.raises(AccessError, match="token expired") as caught:
            session.call("GET", "/v1/x")
        session.close()
    assert bearer_of(server) == ["s3cret"]
    assert "s3cret" not in str(caught.value)
