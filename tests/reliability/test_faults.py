"""Every read path through every fault: right bytes or right error, and how many requests."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - the datasets need it

from aisio import AisioError, Client, RetryPolicy, Timeouts
from aisio.gateway import Gateway
from aisio.testing.fault_proxy import FaultProxy
from tests.reliability.expected import PAGE, expected, with_table
from tests.reliability.paths import FAULTS, WAYS, Way, fill

RETRY = RetryPolicy(total_s=30, attempts=4, first_wait_s=0)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has what is read."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        fill(Client(gateway.endpoint).bucket("data").create())
        yield gateway.endpoint


def read(way: Way, proxy: FaultProxy, read_s: float | None) -> tuple[Any, int]:
    """Return what a way reads through a proxy (an error's name, if it fails), and its requests."""
    client = Client(proxy.endpoint, retry=RETRY, timeouts=Timeouts(read_s=read_s))
    # There is always another reply, also where the cluster's map is known from an earlier proxy
    # that had the same port.
    assert client.ready()
    try:
        result = way.read(client)
    except AisioError as error:
        result = type(error).__name__
    client.close()
    asked = [r for r in proxy.requests if r.method == way.method and fnmatchcase(r.path, way.asks)]
    return result, len(asked)


@pytest.mark.parametrize(
    ("way", "fault"), [(way, fault) for way in WAYS for fault in FAULTS if expected(way, fault)]
)
def test_every_way_through_every_fault(endpoint: str, way: str, fault: str) -> None:
    """Nothing is lost, nothing comes twice, and no more is asked than the table says."""
    how, outcome = WAYS[way], expected(way, fault)
    assert outcome is not None
    with FaultProxy(endpoint) as proxy:
        right, requests = read(how, proxy, read_s=None)
    with FaultProxy(endpoint) as proxy:
        proxy.add(FAULTS[fault](how.at), method=how.method, path=how.asks, skip=how.skip)
        # Only where something must be waited for is the wait short; elsewhere a slow machine is
        # not to be taken for a stall.
        got, asked = read(how, proxy, read_s=1.0 if fault in ("stall", "silence") else None)
        struck = [request.fault for request in proxy.requests if request.fault]
    assert len(struck) == 1
    assert (got if isinstance(got, str) else "same" if got == right else "other") == outcome.what
    if outcome.what == "same":
        assert outcome.more <= asked - requests <= outcome.most


def test_the_table_in_the_docs_is_this_one() -> None:
    """What docs/reliability.md says is what was tested."""
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "run: python -m tests.reliability.expected"
