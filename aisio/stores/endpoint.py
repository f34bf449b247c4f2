"""The store at an endpoint that a catalog names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aisio.client.client import Client
from aisio.client.shared_clients import client_at
from aisio.stores import DirectSettings, Store, store_for
from aisio.stores.direct.settings import DIRECT_PROVIDERS
from aisio.urls import ALIASES, CLOUD_SCHEMES, ObjectUrl

if TYPE_CHECKING:
    pass


# Whoever has their tokens can use them; S3 is sent a signature for one host and request.
_BEARERS = frozenset({"gcp", "azure"})


def store_at(
    url: ObjectUrl,
    *,
    endpoint: str,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
) -> Store:
    """Return the store of a URL for which a catalog names an endpoint; see the module's text.

    Args:
        url: Any URL; the endpoint is for those of clusters and clouds.
        endpoint: What the catalog says.
        client: The cluster that the program was told to use; it comes first.
        direct: Go round any cluster; settings with an endpoint of their own come first.

    Raises:
        ConfigError: What is to be reached directly is in a cluster.
    """
    is_cloud = url.provider in DIRECT_PROVIDERS and not url.namespace
    if is_cloud and (direct or (client is None and url.scheme in CLOUD_SCHEMES)):
        settings = direct if isinstance(direct, DirectSettings) else DirectSettings()
        if url.scheme in CLOUD_SCHEMES:  # else it is the address of a cluster, to be gone round
            settings = _directed(settings, endpoint, url.provider)
        return store_for(url, direct=settings)
    if client is None and url.provider in ALIASES.values():
        client = client_at(endpoint)
    return store_for(url, client, direct=direct)


def _directed(settings: DirectSettings, endpoint: str, provider: str) -> DirectSettings:
    """Return settings for the store that a catalog names, unless they name one themselves."""
    if settings.endpoint:
        return settings
    options = settings.options
    if provider in _BEARERS:
        options = {"skip_signature": True, **options}
    return replace(settings, endpoint=endpoint, options=options)
