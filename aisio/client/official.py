"""Clients, buckets and groups of the official `aistore` package, taken over as ours.

The package need not be installed: what it made is recognised by where its class lives. Reading goes
through aisio's own client, with the endpoint, token, timeouts and certificates of theirs.
"""

from __future__ import annotations

from typing import Any

from aisio.client.client import Bucket, Client
from aisio.config import load_settings
from aisio.records import Timeouts, TlsFiles
from aisio.urls import Namespace


def adapt_official(value: Any) -> Any:
    """Return our Client, Bucket or ObjectGroup for one of theirs, and anything else as it is."""
    if not type(value).__module__.startswith("aistore.sdk"):
        return value
    if type(value).__name__ == "Client":
        return _client(value._request_client)
    if type(value).__name__ == "ObjectGroup":
        # props=None keeps it from asking the cluster for each object.
        names = [item.name for item in value.list_all_objects_iter(props=None)]
        return _bucket(value.bck).objects(names)
    return _bucket(value) if type(value).__name__ == "Bucket" else value


def _bucket(theirs: Any) -> Bucket:
    provider = getattr(theirs.provider, "value", theirs.provider)
    space = theirs.namespace
    namespace = Namespace(space.uuid, space.name) if space else None
    return _client(theirs.client).bucket(theirs.name, provider, namespace=namespace)


def _client(theirs: Any) -> Client:
    sessions = theirs.session_manager
    return Client.from_settings(
        load_settings(
            theirs.base_url.removesuffix("/v1"),
            token=theirs.token or None,
            timeouts=_timeouts(theirs.timeout),
            tls=_tls(sessions),
        )
    )


def _timeouts(value: Any) -> Timeouts:
    """Read requests' form: None, one number for both, or (connect, read)."""
    connect_s, read_s = value if isinstance(value, tuple) else (value, value)
    return Timeouts(connect_s, read_s)


def _tls(sessions: Any) -> TlsFiles | None:
    certificate = getattr(sessions, "client_cert", None)
    pair = certificate if isinstance(certificate, tuple) else (certificate, None)
    files = TlsFiles(
        verify=not getattr(sessions, "skip_verify", False),
        ca_file=getattr(sessions, "ca_cert", None),
        client_cert_file=pair[0],
        client_key_file=pair[1],
    )
    return None if files == TlsFiles() else files
