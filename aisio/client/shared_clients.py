"""Clients that a process shares: one for each endpoint and settings."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from aisio.client.client import Client
from aisio.config import first_set, load_settings, set_with
from aisio.records import Settings

_MOST_SHARED = 16


_NETWORK_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


def client_for(client: Client | None, endpoint: str | None) -> Client | None:
    """Return the cluster that was given, or None where the environment is to name one."""
    return client or (Client(endpoint) if endpoint else None)


def usual_client() -> Client:
    """Return the client of what the environment says now: the same one for all who ask.

    Were there one for each object or source that is named without a client, each would have
    connections of its own.

    Raises:
        ConfigError: AIS_ENDPOINT is not set, or a variable cannot be meant.
    """
    return _shared(load_settings())


def client_at(endpoint: str) -> Client:
    """Return the client of a cluster that is named by data: a catalog, or the URL of an object.

    It is the same one for all who ask. The environment's token goes along only where this is the
    environment's own cluster.
    """
    usual = first_set("AIS_ENDPOINT")
    is_usual = usual is not None and usual.rstrip("/") == endpoint.rstrip("/")
    named = "a catalog or the URL of an object"
    token = None if is_usual else ""
    return _shared(load_settings(endpoint, token=token, endpoint_from=named))


def client_like(client: Client, endpoint: str) -> Client:
    """Return a client with these settings for another cluster, but without the token."""
    named = "the URL of an object"
    return _shared(replace(client.settings, endpoint=endpoint, token=None, endpoint_from=named))


def _shared(settings: Settings) -> Client:
    return _client_of(settings, set_with(_NETWORK_VARIABLES))


@lru_cache(maxsize=_MOST_SHARED)
def _client_of(settings: Settings, environment: frozenset[tuple[str, str]]) -> Client:
    """Return the one client of these settings; another environment may mean another proxy."""
    return Client.from_settings(settings)
