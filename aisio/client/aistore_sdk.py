"""Converts clients, buckets and object groups of the official `aistore` package to aisio's own.

The package need not be installed: its objects are recognised by the module of their class. Reads go
through aisio's own client, with the endpoint, token, timeouts and certificates of the official one.
"""

from __future__ import annotations

from typing import Any

from aisio.client.client import Bucket, Client
from aisio.config import load_settings
from aisio.records import Timeouts, TlsFiles
from aisio.urls import Namespace


def adapt_sdk_object(value: Any) -> Any:
    """Return aisio's Client, Bucket or ObjectGroup for an official one, and other values as is."""
    if not type(value).__module__.startswith("aistore.sdk"):
        return value
    if type(value).__name__ == "Client":
        return _client(value._request_client)
    if type(value).__name__ == "ObjectGroup":
        # With props=None the official package sends no request for each object.
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
    """Read a timeout of `requests`: None, one number for both, or (connect, read)."""
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
