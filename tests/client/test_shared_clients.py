"""Shared clients: one for each combination of settings, and the token only where it belongs."""

from __future__ import annotations

import pytest

from aisio.client.client import Client
from aisio.client.shared_clients import client_at, client_like, default_client, explicit_client
from aisio.errors import ConfigError

HERE, THERE = "http://127.0.0.1:8", "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_ENDPOINT", HERE)
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")


def test_a_client_that_is_passed_comes_before_an_endpoint() -> None:
    """Without either the environment decides, later."""
    passed = Client(THERE)
    assert explicit_client(passed, HERE) is passed
    named = explicit_client(None, THERE)
    assert named is not None
    assert named.endpoint == THERE
    assert explicit_client(None, None) is None


def test_the_default_client_is_one_for_each_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was renewed is used from then on; so is another proxy."""
    first = default_client()
    assert default_client() is first
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "renewed")
    assert default_client().settings.token == "renewed"
    monkeypatch.setenv("AIS_AUTHN_TOKEN", "secret")
    assert default_client() is first
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert default_client() is not first


def test_without_an_endpoint_there_is_no_default_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable."""
    monkeypatch.delenv("AIS_ENDPOINT")
    with pytest.raises(ConfigError, match="AIS_ENDPOINT"):
        default_client()


def test_a_cluster_that_data_names_gets_no_token_of_another() -> None:
    """Unless it is the cluster of the environment; a slash at the end makes no difference."""
    assert not client_at(THERE).settings.token
    assert client_at(f"{HERE}/").settings.token == "secret"
    assert client_at(THERE) is client_at(THERE)


def test_a_client_for_another_cluster_has_the_same_settings_but_the_token() -> None:
    """Timeouts and certificates are the program's; the token belongs to its cluster."""
    own = Client(HERE, token="own", pool_size=3)
    other = client_like(own, THERE)
    assert (other.endpoint, other.settings.token, other.settings.pool_size) == (THERE, None, 3)
    assert client_like(own, THERE) is other
