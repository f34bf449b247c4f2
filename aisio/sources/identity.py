"""Which sources have the same listing in every process of a job."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aisio.config import first_set
from aisio.sources.base import Source
from aisio.sources.catalog_source import CatalogSource
from aisio.sources.filtered import FilteredSource
from aisio.sources.kinds import GroupSource, PrefixSource, TemplateSource, UrlListSource
from aisio.sources.tar import TarSource
from aisio.sources.url import UrlSource
from aisio.stores import AisStore, Store
from aisio.stores.direct.settings import DirectSettings
from aisio.stores.tar import TarStore
from aisio.urls import MEMORY

__all__ = ["source_identity"]


def source_identity(source: Source) -> str | None:
    """Return a text that two processes have in common only if they list the same objects.

    Returns:
        None if that is not known: local files, and objects in memory, may be others elsewhere, and
        so may those of a source of another library.
    """
    if isinstance(source, CatalogSource):
        objects = source_identity(source.unpinned)
        return objects and f"{source.entry.tag} {source.entry.digest} {objects}"
    if isinstance(source, FilteredSource):
        objects = source_identity(source.inner)
        return objects and f"{source.patterns.text} of {objects}"
    # A subclass may list something else.
    if type(source) in (PrefixSource, UrlSource):
        assert isinstance(source, (PrefixSource, UrlSource))
        store = _store_identity(source.store)
        is_local = source.url.provider == MEMORY
        return None if is_local else store and f"{type(source).__name__} {source.url} {store}"
    if type(source) is TarSource:
        return _store_identity(source.store)
    if type(source) is TemplateSource:
        return f"template {source.url}"
    if type(source) is GroupSource:
        return f"group {source.group.bucket.url} {_digest(source.group.names())}"
    if type(source) is UrlListSource:
        return f"urls {_digest(map(str, source.urls))}"
    return None


def _store_identity(store: Store) -> str | None:
    if isinstance(store, AisStore):
        endpoint = store.client.endpoint
        return f"{endpoint} {_own_host(endpoint)}"
    settings = getattr(store, "settings", None)
    if isinstance(settings, DirectSettings):
        endpoints = [settings.endpoint or ""]
        if not settings.endpoint:
            endpoints = [first_set(name) or "" for name in ("AWS_ENDPOINT_URL", "OSS_ENDPOINT")]
        hosts = [f"{endpoint} {_own_host(endpoint)}" for endpoint in endpoints]
        return f"{' '.join(hosts)} {settings.region}"
    if isinstance(store, TarStore):
        archive = _store_identity(store.store)
        return archive and f"{store.url} {archive}"
    return None


def _own_host(endpoint: str) -> str:
    """Return the name of this machine if the endpoint is on it: another machine has another one."""
    host = urlsplit(endpoint).hostname or ""
    is_loopback = host in ("localhost", "::1") or host.startswith("127.")
    return socket.gethostname() if is_loopback else ""


def _digest(names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
