"""A body that comes byte by byte never stalls: it is measured, and gone on with elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Client, RetryPolicy, Timeouts
from aisio.errors import StoreTimeoutError
from aisio.gateway import Gateway
from aisio.testing.fault_proxy import FaultProxy, Trickle

DATA = bytes(range(251)) * 4000
MANY = [*(f"n{number:0200}" for number in range(100)), "o"]
SLOW = Trickle(piece_bytes=100, pause_s=0.05)
"""2 KB a second: all of it would take minutes, and no wait is longer than a twentieth of one."""

LIMITS = Timeouts(read_s=20, least_bytes_per_s=50_000, slow_s=0.5)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has one object."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        bucket = Client(gateway.endpoint).bucket("data").create()
        for name in MANY:
            bucket.object(name).put(b"")
        bucket.object("o").put(DATA)
        yield gateway.endpoint


@pytest.mark.parametrize("way", ["get", "into", "stream", "open"])
def test_a_trickle_is_cut_and_gone_on_with(endpoint: str, tmp_path: Path, way: str) -> None:
    """One request more, for what had not come by then."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(SLOW, method="GET", path="/v1/objects/*")
        client = Client(proxy.endpoint, retry=RetryPolicy(first_wait_s=0), timeouts=LIMITS)
        item = client.bucket("data").object("o")
        if way == "into":
            item.get(into=tmp_path / "o")
            assert (tmp_path / "o").read_bytes() == DATA
        elif way == "get":
            assert item.get() == DATA
        else:
            with item.stream() if way == "stream" else item.open() as file:
                assert b"".join(iter(lambda: file.read(5000), b"")) == DATA
        client.close()
        asked = [seen for seen in proxy.requests if seen.method == "GET" and "/o" in seen.path]
    ranges = [seen.headers.get("range", "") for seen in asked if "/objects/" in seen.path]
    assert len(ranges) == 2
    assert ranges[0] == ""
    assert 100 <= int(ranges[1].removeprefix("bytes=").removesuffix("-")) < len(DATA)


def test_a_line_that_is_always_slow_is_given_up(endpoint: str) -> None:
    """Within the budget, as any other trouble."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(SLOW, method="GET", path="/v1/objects/*", times=None)
        retry = RetryPolicy(first_wait_s=0, attempts=3)
        client = Client(proxy.endpoint, retry=retry, timeouts=LIMITS)
        with pytest.raises(StoreTimeoutError, match="too slowly, with less than 50,000 bytes/s"):
            client.bucket("data").object("o").get()
        client.close()


def test_a_page_of_a_listing_that_trickles_is_asked_for_again(endpoint: str) -> None:
    """Whole: there is nothing to go on with."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(SLOW, method="GET", path="/v1/buckets/*")
        client = Client(proxy.endpoint, retry=RetryPolicy(first_wait_s=0), timeouts=LIMITS)
        assert [info.name for info in client.bucket("data").list()] == MANY
        client.close()
        asked = [seen for seen in proxy.requests if seen.path.startswith("/v1/buckets/")]
    assert len(asked) == 2
