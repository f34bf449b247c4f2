"""Clusters of scripted servers, and clients for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from aisio.client.client import Client
from aisio.client.cluster_maps import ClusterMapCache
from aisio.client.endpoint_state import EndpointState
from aisio.client.object import Object
from aisio.client.session import Session
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server

DATA = Reply(200, b"data")


def client_of(settings: Settings, state: EndpointState | None = None) -> Client:
    """Return a client that knows nothing of the servers that had this address before."""
    client = Client.from_settings(settings)
    client.session = Session(settings, endpoint_state=state or EndpointState())
    return client


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
    """A proxy, a target, what is known of them, a client of theirs, and an object."""

    proxy: Server
    target: Server
    state: EndpointState
    client: Client
    item: Object

    def client_with(self, retry: RetryPolicy) -> Client:
        """Return another client, which knows of the cluster what this process knows."""
        return client_of(replace(self.client.settings, retry=retry), self.state)

    def seen_requests(self) -> tuple[list[str], list[str]]:
        """Return method and first path part of each request to the proxy, and to the target."""
        return tuple(
            [
                f"{request.method} {request.target.split('/')[2].split('?')[0]}"
                for request in requests
            ]
            for requests in (self.proxy.requests, self.target.requests)
        )  # type: ignore[return-value]


@contextmanager
def nodes(
    *answers: Reply,
    maps: int = 1,
    by_proxy: tuple[Reply, ...] = (),
    attempts: int = 1,
    cache: ClusterMapCache | None = None,
) -> Iterator[Nodes]:
    """Start a target with these answers, and a proxy that has maps first, then these answers."""
    with ExitStack() as stack:
        target = stack.enter_context(Server(*answers))
        proxy = stack.enter_context(Server())
        proxy.replies = [cluster_map(v + 1, proxy.url, target.url) for v in range(maps)]
        proxy.replies += by_proxy
        settings = Settings(proxy.url, token="s3cret", retry=RetryPolicy(attempts=attempts))
        state = EndpointState(cache)
        client = client_of(settings, state)
        stack.callback(client.close)
        yield Nodes(proxy, target, state, client, client.bucket("b").object("a b"))


@contextmanager
def cluster(*replies: Reply) -> Iterator[tuple[Server, Client]]:
    """Yield a scripted server and a client for it that retries without waiting."""
    with Server(*replies) as server:
        settings = Settings(server.url, direct=False, retry=RetryPolicy(attempts=3, first_wait_s=0))
        client = client_of(settings)
        yield server, client
        client.close()
