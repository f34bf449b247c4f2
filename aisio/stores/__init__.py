"""Object stores behind one interface; a table picks one by the URL's provider."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache

from aisio.client.client import Client
from aisio.client.shared_clients import default_client
from aisio.config import is_set
from aisio.errors import ConfigError
from aisio.stores.ais import AisStore
from aisio.stores.base import Store
from aisio.stores.direct.settings import DIRECT_PROVIDERS, DirectSettings, credentials_fingerprint
from aisio.stores.direct.store import DirectStore
from aisio.stores.local import LocalStore
from aisio.stores.oss.store import OssStore
from aisio.urls import FILE, MEMORY, OSS, WEB_SCHEMES, ObjectUrl

__all__ = [
    "AisStore",
    "DirectSettings",
    "DirectStore",
    "LocalStore",
    "OssStore",
    "Store",
    "store_for",
]

_MAX_SHARED_STORES = 16


def store_for(
    url: ObjectUrl, client: Client | None = None, *, direct: bool | DirectSettings = False
) -> Store:
    """Return the store that holds a URL; for the same settings the same connections.

    file:// is the local file system. memory://, oss:// and web servers are always reached directly,
    ais:// and oci:// always through the cluster. s3://, gs:// and az:// go through the cluster if
    there is one, otherwise directly.

    Args:
        url: Any URL.
        client: The cluster; by default the one that the environment names.
        direct: Reach a cloud directly even if there is a cluster; settings say how.

    Raises:
        ConfigError: The URL needs a cluster, but neither client nor AIS_ENDPOINT names one, or
            `direct` excludes it; or it is of OSS, and only a cluster is named.
    """
    if not isinstance(direct, (bool, DirectSettings)):
        raise ConfigError(f"direct={direct!r}: expected True, False or a DirectSettings")
    if url.provider == FILE:
        return LocalStore()
    settings = direct if isinstance(direct, DirectSettings) else DirectSettings()
    if url.provider == OSS and client and not (settings.endpoint or is_set("OSS_ENDPOINT")):
        raise ConfigError(
            f"{url} is in no cluster, so client= or endpoint= is not for it: pass "
            f"direct=DirectSettings(endpoint='https://...'), or set OSS_ENDPOINT"
        )
    if url.provider in (OSS, MEMORY, *WEB_SCHEMES):
        return _shared_store(settings, url.provider)
    reachable = url.provider in DIRECT_PROVIDERS and not url.namespace
    if direct and not reachable:
        raise ConfigError(f"{url} is in a cluster; it cannot be reached directly")
    if direct or (reachable and client is None and not is_set("AIS_ENDPOINT")):
        return _shared_store(settings, url.provider)
    return AisStore(client or default_client())


def _shared_store(settings: DirectSettings, provider: str) -> Store:
    # A copy: a dict that the caller changes later must not change the key of this store.
    return _direct_store(
        replace(settings, options=dict(settings.options)),
        credentials_fingerprint(),
        is_oss=provider == OSS,
    )


@lru_cache(maxsize=_MAX_SHARED_STORES)
def _direct_store(settings: DirectSettings, credentials: Hashable, *, is_oss: bool) -> Store:
    """Return the one store of these settings and of the credentials in the environment."""
    return OssStore(settings) if is_oss else DirectStore(settings)


def __dir__() -> list[str]:
    return sorted(__all__)
