"""Clients that all of a process shares: one for each combination of settings."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from aisio.client.client import Client
from aisio.config import first_set, load_settings, variables_with
from aisio.records import Settings

_MAX_SHARED_CLIENTS = 16

_NETWORK_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


def explicit_client(client: Client | None, endpoint: str | None) -> Client | None:
    """Return the client that the caller names, or None where the environment is to name one."""
    return client or (Client(endpoint) if endpoint else None)


def default_client() -> Client:
    """Return the client that the environment describes now: always the same one.

    With a client for each object or source that is named without one, each of them would have its
    own connections.

    Raises:
        ConfigError: AIS_ENDPOINT is not set, or a variable is not valid.
    """
    return _shared(load_settings())


def client_at(endpoint: str) -> Client:
    """Return the client of a cluster that data names: a catalog, or the URL of an object.

    It is always the same one. It has the environment's token only if AIS_ENDPOINT names the same
    cluster.
    """
    default = first_set("AIS_ENDPOINT")
    is_default = default is not None and default.rstrip("/") == endpoint.rstrip("/")
    named_by = "a catalog or the URL of an object"
    token = None if is_default else ""
    return _shared(load_settings(endpoint, token=token, endpoint_from=named_by))


def client_like(client: Client, endpoint: str) -> Client:
    """Return a client with the same settings for another cluster, but without the token."""
    named_by = "the URL of an object"
    return _shared(
        replace(
            client.settings,
            endpoint=endpoint,
            token=None,
            token_file=None,
            endpoint_from=named_by,
        )
    )


def _shared(settings: Settings) -> Client:
    return _client_of(settings, variables_with(_NETWORK_VARIABLES))


@lru_cache(maxsize=_MAX_SHARED_CLIENTS)
def _client_of(settings: Settings, environment: frozenset[tuple[str, str]]) -> Client:
    """Return the one client of these settings; in another environment the proxy may be another."""
    return Client.from_settings(settings)
