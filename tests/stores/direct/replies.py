"""Replies of a scripted server that a direct store takes for S3, or for a web server."""

from __future__ import annotations

from typing import Any

from aisio.records import RetryPolicy
from aisio.stores import DirectSettings, DirectStore
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server

KEYS = {"access_key_id": "k", "secret_access_key": "the-secret"}
FAST = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)
OBJECT = ObjectUrl.parse("s3://bkt/a")
DATED = {"Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT"}


def whole(body: bytes, etag: str, length: int | None = None) -> Reply:
    """Return the reply to a GET; a length that is not the body's cuts it."""
    size = str(len(body) if length is None else length)
    return Reply(200, body, {**DATED, "ETag": f'"{etag}"', "Content-Length": size})


DIGITS = (b"01234", b"0123456789")


def server_url(server: Server) -> ObjectUrl:
    """Return the address of an object on a scripted web server."""
    return ObjectUrl.parse(f"{server.url}/b/o")


def rest(body: bytes, etag: str, start: int, size: int) -> Reply:
    """Return the reply to a GET of all from `start` on."""
    part = f"bytes {start}-{size - 1}/{size}"
    return Reply(206, body, {**DATED, "ETag": f'"{etag}"', "Content-Range": part})


def direct(server: Server, **more: Any) -> DirectStore:
    """Return a store that takes a scripted server for S3."""
    return DirectStore(DirectSettings(server.url, "us-east-1", KEYS, retry=FAST, **more))
