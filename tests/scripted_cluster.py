"""A cluster of one scripted server, and a client to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aisio.client import Client
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server


@contextmanager
def cluster(*replies: Reply) -> Iterator[tuple[Server, Client]]:
    """Give a scripted server and a client to it that retries without waiting."""
    with Server(*replies) as server:
        settings = Settings(server.url, direct=False, retry=RetryPolicy(attempts=3, first_wait_s=0))
        client = Client.from_settings(settings)
        yield server, client
        client.close()
