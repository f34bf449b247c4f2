"""What Python can do at best: http.client on one kept connection, straight to the node.

Nothing here is verified, retried or resumed, addresses are computed before the clock starts, and
buffers are made once: this is what a reader is measured against, not a reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

from aisio import Client
from aisio.wire.messages import object_path
from aisio.wire.placement import parse_cluster_map
from corpus import Corpus


class Address(NamedTuple):
    """Where an object lies."""

    host: str
    path: str


def addresses(corpus: Corpus, names: Sequence[str]) -> list[Address]:
    """Compute the node of each object."""
    with urlopen(f"{corpus.endpoint}/v1/daemon?what=smap") as reply:
        cluster_map = parse_cluster_map(reply.read())
    bucket = Client(corpus.endpoint).bucket(corpus.bucket)
    urls = [bucket.object(name).url for name in names]
    return [
        Address(
            urlsplit(cluster_map.target_of(url).endpoint).netloc,
            f"{object_path(url)}?provider=ais",
        )
        for url in urls
    ]


class Connections:
    """One kept connection to each host."""

    def __init__(self) -> None:
        self._open: dict[str, HTTPConnection] = {}

    def get(self, address: Address, body: Any = None, **headers: str) -> HTTPResponse:
        """Send a GET and return its open reply."""
        connection = self._open.get(address.host)
        if connection is None:
            connection = self._open[address.host] = HTTPConnection(address.host)
        connection.request("GET", address.path, body=body, headers=headers)
        reply = connection.getresponse()
        if reply.status >= 400:
            raise OSError(f"GET {address.path}: {reply.status} {reply.read()[:200]!r}")
        return reply


def fill(reply: HTTPResponse, buffer: memoryview) -> int:
    """Read a whole reply into a buffer and return how long it is."""
    got = 0
    while count := reply.readinto(buffer[got:]):
        got += count
    return got


def payloads(shard: memoryview) -> Iterator[bytes]:
    """Yield the members of a plain tar, copied out; only a name's and a size's fields are read."""
    offset = 0
    while offset < len(shard) and shard[offset]:
        size = int(bytes(shard[offset + 124 : offset + 135]), 8)
        offset += 512
        yield bytes(shard[offset : offset + size])
        offset += (size + 511) // 512 * 512
