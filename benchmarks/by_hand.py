"""The upper bound for Python: http.client on one kept connection, straight to the node.

Nothing is verified, retried or resumed. Addresses are computed before the clock starts, and buffers
are allocated once. The readers are compared with this; it is no reader itself.
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
    """The node and the path of an object."""

    host: str
    path: str


def addresses(corpus: Corpus, names: Sequence[str]) -> list[Address]:
    """Return the address of each object."""
    with urlopen(f"{corpus.endpoint}/v1/daemon?what=smap") as response:
        cluster_map = parse_cluster_map(response.read())
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
        """Send a GET and return the response, whose body is not read yet."""
        connection = self._open.get(address.host)
        if connection is None:
            connection = self._open[address.host] = HTTPConnection(address.host)
        connection.request("GET", address.path, body=body, headers=headers)
        response = connection.getresponse()
        if response.status >= 400:
            raise OSError(f"GET {address.path}: {response.status} {response.read()[:200]!r}")
        return response


def fill(response: HTTPResponse, buffer: memoryview) -> int:
    """Read a whole response into a buffer and return its length."""
    got = 0
    while count := response.readinto(buffer[got:]):
        got += count
    return got


def payloads(shard: memoryview) -> Iterator[bytes]:
    """Yield a copy of each member of a plain tar; of the headers only the size is read."""
    offset = 0
    while offset < len(shard) and shard[offset]:
        size = int(bytes(shard[offset + 124 : offset + 135]), 8)
        offset += 512
        yield bytes(shard[offset : offset + size])
        offset += (size + 511) // 512 * 512
