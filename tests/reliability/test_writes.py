"""Every way to write through every fault: the new object whole, or an error and the old one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import torch  # noqa: F401 - the paths that are tested beside these need it

from aisio import AisioError, Client, RetryPolicy, Timeouts, UnavailableError
from aisio.gateway import Gateway
from aisio.stores import DirectSettings, Store, store_for
from aisio.testing.fault_proxy import FaultProxy, Status
from tests.moto_server import boto_client, s3_server
from tests.oss_server import KEY_ID, REGION, SECRET, oss_server
from tests.reliability.paths import FAULTS as FAULT_OF
from tests.reliability.paths import Reach
from tests.reliability.writes import FAULTS, NEW, OLD, PAGE, WAYS, Way, object_of, with_table

pytest.importorskip("obstore")
pytest.importorskip("moto")
pytest.importorskip("alibabacloud_oss_v2")

# More tries than a fault takes: on a busy machine an answer may come after the short timeout.
RETRY = RetryPolicy(total_s=30, attempts=20, first_wait_s=0)
KEYS = {"access_key_id": "key", "secret_access_key": "the-secret"}
OSS_KEYS = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
ENDPOINTS = Iterator[Callable[[str], str]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> ENDPOINTS:
    """Return what gives the endpoint of a server; each is started once."""
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(Gateway(tmp_path_factory.mktemp("served")))
        Client(gateway.endpoint).bucket("data").create()
        s3 = stack.enter_context(s3_server())
        boto_client(s3).create_bucket(Bucket="data")
        oss = stack.enter_context(oss_server())
        oss.create("data")
        endpoints = {"gateway": gateway.endpoint, "s3": s3, "oss": oss.endpoint}
        yield endpoints.__getitem__


@pytest.fixture(scope="module")
def proxies(servers: Callable[[str], str]) -> Iterator[Callable[[str], FaultProxy]]:
    """Return what gives the fault proxy before a server."""
    with contextlib.ExitStack() as stack:
        started = {
            to: stack.enter_context(FaultProxy(servers(to))) for to in ("gateway", "s3", "oss")
        }
        yield started.__getitem__


def reach_of(proxy: FaultProxy, read_s: float | None) -> Reach:
    """Return how the servers behind a proxy are reached."""
    timeouts = Timeouts(read_s=read_s)
    endpoint = proxy.endpoint.replace("127.0.0.1", "localhost")
    client = Client(endpoint, retry=RETRY, timeouts=timeouts)
    direct = DirectSettings(
        proxy.endpoint, region="us-east-1", options=KEYS, timeouts=timeouts, retry=RETRY
    )
    oss = DirectSettings(proxy.endpoint, REGION, OSS_KEYS, timeouts=timeouts, retry=RETRY)
    return Reach(client, direct, oss)


def undisturbed(way: Way, endpoint: str) -> Store:
    """Return the store, reached without a proxy."""
    direct: dict[str, bool | DirectSettings] = {
        "gateway": False,
        "s3": DirectSettings(endpoint, region="us-east-1", options=KEYS),
        "oss": DirectSettings(endpoint, REGION, OSS_KEYS),
    }
    return store_for(object_of(way), Client(endpoint), direct=direct[way.to])


@pytest.fixture(scope="module")
def counts(proxies: Callable[[str], FaultProxy]) -> Callable[[str], int]:
    """Return what gives the number of requests of a way without a fault."""
    known: dict[str, int] = {}

    def count(way: str) -> int:
        if way not in known:
            known[way] = write(WAYS[way], proxies(WAYS[way].to), None)
        return known[way]

    return count


def write(way: Way, proxy: FaultProxy, read_s: float | None) -> int:
    """Write by a way; return how many requests of its method that took."""
    reach, before = reach_of(proxy, read_s), len(proxy.requests)
    try:
        way.write(reach)
    finally:
        reach.client.close()
    return sum(one.method == way.method for one in proxy.requests[before:])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_through_every_fault(
    servers: Callable[[str], str],
    proxies: Callable[[str], FaultProxy],
    counts: Callable[[str], int],
    way: str,
    fault: str,
) -> None:
    """The object is stored whole, by no more requests than the table says."""
    how, usual = WAYS[way], counts(way)
    proxy, store = proxies(how.to), undisturbed(how, servers(how.to))
    store.put(object_of(how), OLD)
    proxy.add(FAULT_OF[fault](0, ""), method=how.method, skip=how.skip)
    sent = write(how, proxy, 1.0 if fault == "silence" else None)
    proxy.clear()
    proxy.release()
    assert store.read(object_of(how)) == NEW
    assert 1 <= sent - usual <= how.most


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_written_leaves_the_old_object(
    servers: Callable[[str], str], proxies: Callable[[str], FaultProxy], way: str
) -> None:
    """The error says so."""
    how = WAYS[way]
    proxy, store = proxies(how.to), undisturbed(how, servers(how.to))
    store.put(object_of(how), OLD)
    proxy.add(Status(503, retry_after_s=0), method=how.method, skip=how.skip, times=None)
    with pytest.raises(AisioError) as raised:
        write(how, proxy, None)
    proxy.clear()
    assert isinstance(raised.value, UnavailableError)
    assert store.read(object_of(how)) == OLD


def test_the_table_in_the_docs_is_this_one() -> None:
    """What docs/reliability.md says is what was tested."""
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "run: python -m tests.reliability.writes"
