"""resolve_url: where the object behind a URL is read, and by which ETL it is transformed."""

from __future__ import annotations

from typing import NamedTuple

from aisio.client.client import Client
from aisio.client.shared_clients import client_at, client_like
from aisio.stores import AisStore, DirectSettings, Store, store_for
from aisio.urls import ObjectUrl
from aisio.wire.messages import is_object_http_url, parse_object_http_url

__all__ = ["ResolvedUrl", "resolve_url"]

_IN_TAR = ".tar/"


class ResolvedUrl(NamedTuple):
    """A URL, and what is needed to open it.

    Attributes:
        text: The URL as it was given.
        store: The store that has the object.
        url: The object.
        etl_name: ETL that transforms it; None for none.
        archive: The tar that may hold it, if its name says so: ais://b/a.tar/1.jpg may be a file in
            ais://b/a.tar, or an object. None for any other name.
    """

    text: str
    store: Store
    url: ObjectUrl
    etl_name: str | None
    archive: ObjectUrl | None = None


def resolve_url(
    text: str,
    *,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
    etl_name: str | None = None,
) -> ResolvedUrl:
    """Resolve the URL of an object, without a request.

    Args:
        text: The URL, as `Source.list_urls` yields it. An http URL of an object names its cluster.
        client: The cluster for other URLs, and the settings for other clusters; by default one made
            from the environment.
        direct: Read clouds without the cluster; see `store_for`.
        etl_name: Have the cluster transform the object by this ETL, not by the one of an http URL.

    Raises:
        UrlError: It is not the URL of an object.
        ConfigError: See `store_for`.
    """
    if is_object_http_url(text):
        endpoint, url, url_etl = parse_object_http_url(text)
        return ResolvedUrl(text, AisStore(_client_of(endpoint, client)), url, etl_name or url_etl)
    url = ObjectUrl.parse(text).require_object()
    return ResolvedUrl(text, store_for(url, client, direct=direct), url, etl_name, _archive_of(url))


def _client_of(endpoint: str, client: Client | None) -> Client:
    if client is None:
        return client_at(endpoint)
    return client if client.endpoint == endpoint else client_like(client, endpoint)


def _archive_of(url: ObjectUrl) -> ObjectUrl | None:
    at = url.name.find(_IN_TAR)
    return url.with_name(url.name[: at + len(_IN_TAR) - 1]) if at >= 0 else None
