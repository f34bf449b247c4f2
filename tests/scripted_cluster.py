"""Clusters of scripted servers, and clients to them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from aisio.client import router as cluster_module
from aisio.client.client import Client
from aisio.client.object import Object
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server

DATA = Reply(200, b"data")


def forget_cluster(url: str) -> None:
    """Forget what this process knows of the cluster that had this address before."""
    cluster_module._known.pop((os.getpid(), url), None)


def cluster_map(version: int, proxy: str, *targets: str) -> Reply:
    """Return a reply that holds a cluster map."""

    def node(name: str, url: str) -> dict[str, object]:
        return {"daemon_id": name, "public_net": {"direct_url": url}, "id_digest": len(name)}

    body = {
        "version": str(version),
        "uuid": "u",
        "proxy_si": node("p", proxy),
        "tmap": {f"t{number}": node(f"t{number}", url) for number, url in enumerate(targets)},
    }
    return Reply(200, json.dumps(body).encode())


@dataclass
class Nodes:
    """A proxy, a target, a client of theirs, and an object."""

    proxy: Server
    target: Server
    client: Client
    item: Object

    def asked(self) -> tuple[list[str], list[str]]:
        """Return the methods and first path parts that proxy and target were asked."""
        return tuple(
            [
                f"{request.method} {request.target.split('/')[2].split('?')[0]}"
                for request in requests
            ]
            for requests in (self.proxy.requests, self.target.requests)
        )  # type: ignore[return-value]


@contextmanager
def nodes(
    *answers: Reply, maps: int = 1, by_proxy: tuple[Reply, ...] = (), attempts: int = 1
) -> Iterator[Nodes]:
    """Start a target with these answers, and a proxy that has maps first, then these answers."""
    with ExitStack() as stack:
        target = stack.enter_context(Server(*answers))
        proxy = stack.enter_context(Server())
        forget_cluster(proxy.url)
        proxy.replies = [cluster_map(v + 1, proxy.url, target.url) for v in range(maps)]
        proxy.replies += by_proxy
        settings = Settings(proxy.url, token="s3cret", retry=RetryPolicy(attempts=attempts))
        client = Client.from_settings(settings)
        stack.callback(client.close)
        yield Nodes(proxy, target, client, client.bucket("b").object("a b"))


@contextmanager
def cluster(*replies: Reply) -> Iterator[tuple[Server, Client]]:
    """Give a scripted server and a client to it that retries without waiting."""
    with Server(*replies) as server:
        forget_cluster(server.url)
        settings = Settings(server.url, direct=False, retry=RetryPolicy(attempts=3, first_wait_s=0))
        client = Client.from_settings(settings)
        yield server, client
        client.close()
