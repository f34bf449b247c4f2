"""A large body that breaks goes on where it was, and an idle connection's end harms nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Client, RetryPolicy, Timeouts
from aisio.gateway import Gateway
from aisio.testing.fault_proxy import Cut, Fault, FaultProxy, Stall

DATA = bytes(range(256)) * (20 * 4096)
"""Far more than the socket's buffers, whose bytes a reset drops; less than is read in parts."""

AT = 15 * 1024 * 1024


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has one large object."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        Client(gateway.endpoint).bucket("data").create().object("large").put(DATA)
        yield gateway.endpoint


@pytest.mark.parametrize("into_file", [False, True], ids=["bytes", "file"])
@pytest.mark.parametrize(
    "fault", [Cut(AT), Cut(AT, reset=True), Stall(AT)], ids=["cut", "reset", "stall"]
)
def test_a_large_body_is_never_read_from_its_start_again(
    endpoint: str, tmp_path: Path, fault: Fault, into_file: bool
) -> None:
    """The request that follows asks for the bytes behind those that came."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(fault, method="GET", path="/v1/objects/*", times=1)
        read_s = 1.0 if isinstance(fault, Stall) else None
        retry = RetryPolicy(total_s=30, attempts=4, first_wait_s=0)
        client = Client(proxy.endpoint, retry=retry, timeouts=Timeouts(read_s=read_s))
        item = client.bucket("data").object("large")
        if into_file:
            assert item.get(into=tmp_path / "large") == len(DATA)
            assert (tmp_path / "large").read_bytes() == DATA
        else:
            assert item.get() == DATA
        client.close()
        asked = [r.headers.get("range") for r in proxy.requests if r.path.startswith("/v1/objects")]
    assert asked[0] is None
    starts = [int(str(text).removeprefix("bytes=").removesuffix("-")) for text in asked[1:]]
    assert len(starts) == 1
    assert 0 < starts[0] <= AT
