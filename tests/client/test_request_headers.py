"""Headers of requests: who asks, and by what right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from aisio.client.endpoint_state import EndpointState
from aisio.client.request_headers import CHECK_TOKEN_FILE_S, NODE_HEADERS, EndpointHeaders
from aisio.errors import AccessError, StorageError
from aisio.records import Settings
from tests.token_file import write_token

REFUSED = AccessError("refused", status=401)


class Clock:
    """A clock whose time passes when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def headers_of(file: Path, clock: Clock) -> EndpointHeaders:
    """Return the headers of an endpoint whose token is that of a file now."""
    token = json.loads(file.read_text())["token"]
    return EndpointHeaders(
        Settings("http://h", token=token, token_file=str(file)), EndpointState(), clock
    )


def token_in(headers: Mapping[str, str] | None) -> str:
    """Return the token that headers carry."""
    assert headers is not None
    return headers["Authorization"].removeprefix("Bearer ")


def test_only_the_endpoint_gets_the_token() -> None:
    """A node that the endpoint names needs none."""
    headers = EndpointHeaders(Settings("http://h", token="abc"), EndpointState()).current()
    assert headers == {**NODE_HEADERS, "Authorization": "Bearer abc"}
    assert list(NODE_HEADERS) == ["User-Agent"]


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_none_is_sent(token: str | None) -> None:
    """An empty one switches off that of the environment."""
    assert (
        EndpointHeaders(Settings("http://h", token=token), EndpointState()).current()
        == NODE_HEADERS
    )


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """It is looked at once a second, whichever request comes then."""
    file, clock = tmp_path / "token", Clock()
    write_token(file, "first")
    headers = headers_of(file, clock)
    assert token_in(headers.current()) == "first"
    write_token(file, "second")
    assert token_in(headers.current()) == "first"
    clock.seconds += CHECK_TOKEN_FILE_S
    assert token_in(headers.current()) == "second"


@pytest.mark.parametrize(
    "content", ["", '{"tok', '{"token": null}', '{"token": ""}', '{"token": "a b"}', None]
)
def test_a_file_that_cannot_be_read_leaves_the_last_token(
    tmp_path: Path, content: str | None
) -> None:
    """It may be half written; once it is whole, it counts."""
    file, clock = tmp_path / "token", Clock()
    write_token(file, "first")
    headers = headers_of(file, clock)
    file.unlink()
    if content is not None:
        file.write_text(content)
    clock.seconds += CHECK_TOKEN_FILE_S
    assert token_in(headers.current()) == "first"
    write_token(file, "second")
    clock.seconds += CHECK_TOKEN_FILE_S
    assert token_in(headers.current()) == "second"


def test_a_refused_token_is_replaced_at_once(tmp_path: Path) -> None:
    """The request's other headers stay."""
    file, clock = tmp_path / "token", Clock()
    write_token(file, "first")
    headers = headers_of(file, clock)
    sent = {**headers.current(), "Range": "bytes=0-1"}
    assert headers.renewed(REFUSED, sent) is None
    write_token(file, "second")
    renewed = headers.renewed(REFUSED, sent)
    assert token_in(renewed) == "second"
    assert renewed is not None
    assert renewed["Range"] == "bytes=0-1"


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (AccessError("may not", status=403), {"Authorization": "Bearer first"}),
        (StorageError("broken", status=500), {"Authorization": "Bearer first"}),
        (REFUSED, NODE_HEADERS),
    ],
)
def test_what_no_new_token_repairs_is_not_sent_again(
    tmp_path: Path, error: StorageError, sent: Mapping[str, str]
) -> None:
    """A 403 means that the token is known; a target is sent none."""
    file = tmp_path / "token"
    write_token(file, "first")
    headers = headers_of(file, Clock())
    write_token(file, "second")
    assert headers.renewed(error, sent) is None


def test_no_log_shows_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the old one, nor the new one, nor what else is in the file."""
    file, clock = tmp_path / "token", Clock()
    write_token(file, "s3cret-1")
    headers = headers_of(file, clock)
    with caplog.at_level("DEBUG"):
        for content in ('{"tok": "s3cret-2"}', '{"token": "s3cret-3"}'):
            file.write_text(content)
            clock.seconds += CHECK_TOKEN_FILE_S
            headers.current()
    assert "has a new token" in caplog.text
    assert "s3cret" not in caplog.text
