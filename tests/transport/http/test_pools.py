"""Pools: whose connections they are, and that a closed pool is never handed out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from aisio.records import Settings
from aisio.transport.http.pools import Pools


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pools]:
    """Give pools that no proxy of this machine's environment gets into."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    pools = Pools(Settings("http://h"))
    yield pools
    pools.close()


def opened(pools: Pools, origin: str) -> object:
    """Open an origin's pool and return urllib3's queue of connections: None once it is closed."""
    return pools.open(origin, f"{origin}/x", requests.Session()).connections.pool


@pytest.mark.parametrize("origin", ["http://h", "https://h"])
def test_a_forgotten_pool_is_opened_anew(pools: Pools, origin: str) -> None:
    """After a timeout the next request gets connections that work."""
    assert opened(pools, origin) is not None
    pools.forget(origin)
    assert opened(pools, origin) is not None


def test_hosts_behind_one_proxy_do_not_close_each_others_connections(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's connections are kept by origin: one origin's timeout leaves the others alone."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    first, second = (
        pools.open(origin, origin, requests.Session()) for origin in ("http://a", "http://b")
    )
    pools.forget("http://a")
    assert (first.connections.pool, second.connections.pool is None) == (None, False)
