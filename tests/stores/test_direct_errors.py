"""What obstore raises: which of aisio's errors it becomes, after how many tries."""

from __future__ import annotations

import socket

import pytest

from aisio.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import RetryPolicy, Timeouts
from aisio.stores import DirectSettings, DirectStore
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server

pytest.importorskip("obstore")

OBJECT = ObjectUrl.parse("s3://bkt/a")
KEYS = {"access_key_id": "k", "secret_access_key": "the-secret", "session_token": "the-token"}


def settings(url: str, policy: RetryPolicy, **more) -> DirectSettings:
    """Return settings that take a server on loopback for S3."""
    return DirectSettings(url, "us-east-1", KEYS, retry=policy, **more)


@pytest.mark.parametrize(
    ("status", "expected", "tries"),
    [
        (400, StorageError, 1),
        (401, AccessError, 1),
        (403, AccessError, 1),
        (409, ConflictError, 1),
        (429, ThrottledError, 3),
        (500, UnavailableError, 3),
        (503, UnavailableError, 3),
    ],
)
def test_the_status_chooses_the_error_and_the_tries(status, expected, tries):
    """The loop of obstore follows the RetryPolicy, and there is no second one around it."""
    with Server(*[Reply(status, b"<Error><Code>Why</Code></Error>")] * 9) as server:
        policy = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.0)
        with pytest.raises(StorageError, match="s3://bkt/a") as caught:
            DirectStore(settings(server.url, policy)).head(OBJECT)
        assert type(caught.value) is expected
        assert len(server.requests) == tries


def test_no_credential_is_shown():
    """S3 quotes the signed headers back, the session token among them."""
    body = b"<Error><Code>SignatureDoesNotMatch</Code><R>x-amz-security-token:the-token</R></Error>"
    with Server(Reply(403, body)) as server:
        store = DirectStore(settings(server.url, RetryPolicy(attempts=1)))
        with pytest.raises(AccessError) as caught:
            store.get(OBJECT)
    told = f"{caught.value} {caught.value.__cause__} {store!r} {store.settings!r}"
    assert caught.value.__suppress_context__
    assert "the-token" not in told
    assert "the-secret" not in told


def test_a_refused_connection_is_unavailable():
    """Nothing listens there any more."""
    with Server() as server:
        pass
    with pytest.raises(UnavailableError, match="connection failed"):
        DirectStore(settings(server.url, RetryPolicy(attempts=1))).head(OBJECT)


def test_silence_is_a_timeout(silent):
    """The read timeout is the settings'."""
    patience = Timeouts(read_s=0.05)
    store = DirectStore(settings(silent, RetryPolicy(attempts=1), timeouts=patience))
    with pytest.raises(StoreTimeoutError, match="no answer"):
        store.head(OBJECT)


@pytest.fixture
def silent():
    """Return the address of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_unknown_option_is_named():
    """A typo among the options is an error of settings."""
    store = DirectStore(DirectSettings(options={**KEYS, "acess_key": "x"}))
    with pytest.raises(ConfigError, match="acess_key"):
        store.head(OBJECT)
