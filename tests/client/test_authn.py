"""Logging in: one request to AuthN, and a client with the token that it sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aisio.client.client import Client
from aisio.errors import AccessError, ConfigError
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server

CLUSTER = "http://127.0.0.1:9"


def client_of(authn: str) -> Client:
    """Return a client whose AuthN server has this address."""
    retry = RetryPolicy(attempts=1)
    return Client.from_settings(Settings(CLUSTER, token="old", authn_url=authn, retry=retry))


def test_a_login_returns_a_client_with_the_token() -> None:
    """The password is in the body alone, and the old token stays with the cluster."""
    with Server(Reply(200, b'{"token": "new"}')) as server:
        client = client_of(server.url)
        logged_in = client.login("a b/c", "the-password", expires_s=1.5)
    assert (logged_in.endpoint, logged_in.settings.token) == (CLUSTER, "new")
    assert client.settings.token == "old"
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/users/a%20b%2Fc")
    assert json.loads(request.body) == {"password": "the-password", "expires_in": 1_500_000_000}
    assert request.headers["Authorization"] is None


def test_a_wrong_password_is_an_access_error_without_it() -> None:
    """Errors go into logs."""
    with Server(Reply(401, b"wrong")) as server:
        client = client_of(server.url)
        with pytest.raises(AccessError) as caught:
            client.login("me", "the-password")
    assert "the-password" not in str(caught.value)


@pytest.mark.parametrize("expires_s", [0, -1, float("inf"), float("nan")])
def test_a_lifetime_that_is_not_positive_is_refused(expires_s: Any) -> None:
    """Before anything is sent."""
    with Server() as server:
        client = client_of(server.url)
        with pytest.raises(ConfigError, match="a positive number is needed"):
            client.login("me", "p", expires_s=expires_s)
        assert server.requests == []
