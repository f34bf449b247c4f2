"""Pools: one for each origin, and a closed pool is never returned again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from aisio.errors import ConfigError
from aisio.records import Settings
from aisio.transport.http.pools import Pools


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pools]:
    """Yield pools that use no proxy of this machine's environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    pools = Pools(Settings("http://h"))
    yield pools
    pools.close()


def opened(pools: Pools, origin: str) -> object:
    """Open an origin's pool and return urllib3's queue of connections: None once it is closed."""
    return pools.open(origin, f"{origin}/x", requests.Session()).urllib3_pool.pool


@pytest.mark.parametrize("origin", ["http://h", "https://h"])
def test_a_forgotten_pool_is_opened_anew(pools: Pools, origin: str) -> None:
    """After a timeout the next request gets connections that work."""
    assert opened(pools, origin) is not None
    pools.discard(origin)
    assert opened(pools, origin) is not None


def test_after_the_end_there_are_no_connections(pools: Pools) -> None:
    """Those that were idle are closed."""
    pool = pools.open("http://h", "http://h/x", requests.Session()).urllib3_pool
    pools.end()
    assert pool.pool is None
    with pytest.raises(ConfigError, match=r"the client of http://h was closed at the end of its"):
        pools.find("http://h")


def test_hosts_behind_one_proxy_do_not_close_each_others_connections(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections to a proxy are kept by origin: a timeout closes those of one origin only."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    first, second = (
        pools.open(origin, origin, requests.Session()) for origin in ("http://a", "http://b")
    )
    pools.discard("http://a")
    assert (first.urllib3_pool.pool, second.urllib3_pool.pool is None) == (None, False)
