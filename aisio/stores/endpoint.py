"""The store at an endpoint that a catalog names.

An endpoint of an AIStore cluster serves any bucket URL. An endpoint of an S3-compatible store, or
of an emulator of another cloud, serves URLs with the scheme of that cloud. A client, or settings
with an endpoint, that the program itself passes take precedence over the catalog's. oss:// is in
no cluster, so there a client changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from aisio.client.client import Client
from aisio.client.shared_clients import client_at
from aisio.stores import DirectSettings, Store, store_for
from aisio.stores.direct.settings import DIRECT_PROVIDERS
from aisio.urls import ALIASES, CLOUD_SCHEMES, OSS, ObjectUrl

_BEARER_TOKEN_PROVIDERS = frozenset({"gcp", "azure"})
"""Requests to these carry a token, which whoever receives it could use. A request to S3 carries a
signature, which is good for that host and request only."""


def store_at(
    url: ObjectUrl,
    *,
    endpoint: str,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
) -> Store:
    """Return the store of a URL for which a catalog names an endpoint.

    Args:
        url: Any URL; the endpoint counts for those of clusters and clouds.
        endpoint: The endpoint that the catalog names.
        client: The cluster that the program names; it takes precedence.
        direct: Reach clouds directly; settings with an endpoint of their own take precedence.

    Raises:
        ConfigError: The URL is in a cluster, which `direct` excludes.
    """
    is_cloud = url.provider in (OSS, *DIRECT_PROVIDERS) and not url.namespace
    has_own_endpoint = url.provider == OSS or (client is None and url.scheme in CLOUD_SCHEMES)
    if is_cloud and (direct or has_own_endpoint):
        settings = direct if isinstance(direct, DirectSettings) else DirectSettings()
        # With another scheme the endpoint is that of a cluster, which `direct` excludes.
        if url.scheme in CLOUD_SCHEMES:
            settings = _with_endpoint(settings, endpoint, url.provider)
        return store_for(url, direct=settings)
    if client is None and url.provider in ALIASES.values():
        client = client_at(endpoint)
    return store_for(url, client, direct=direct)


def _with_endpoint(settings: DirectSettings, endpoint: str, provider: str) -> DirectSettings:
    """Return settings with the endpoint of a catalog, unless they have one of their own."""
    if settings.endpoint:
        return settings
    options = settings.options
    if provider in _BEARER_TOKEN_PROVIDERS:
        options = {"skip_signature": True, **options}
    return replace(settings, endpoint=endpoint, options=options)
