"""Every read path through every fault: right bytes or right error, and how many requests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import aiohttp  # noqa: F401 - the gateway needs it
import pytest
import requests
import torch  # noqa: F401 - the datasets need it

from aisio import (
    AisioError,
    Client,
    RetryPolicy,
    Timeouts,
)
from aisio.gateway import Gateway
from aisio.stores import DirectSettings
from aisio.testing.fault_proxy import TARGET_MARK, FaultProxy, SeenRequest
from tests.moto_server import s3_server
from tests.oss_server import ANYBODYS, KEY_ID, REGION, SECRET, oss_server
from tests.reliability.expected import PAGE, expected, with_table
from tests.reliability.paths import (
    FAULTS,
    OTHER_BYTES,
    SIZES,
    WAYS,
    Reach,
    Way,
    data_of,
    fill,
    make_shard,
)

# More tries than a fault takes: on a busy machine an answer may come after the short timeout.
RETRY = RetryPolicy(total_s=30, attempts=20, first_wait_s=0)
KEYS = {"access_key_id": "k", "secret_access_key": "s"}
OSS_KEYS = {"access_key_id": KEY_ID, "access_key_secret": SECRET}
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has what is read."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        fill(Client(gateway.endpoint).bucket("data").create())
        yield gateway.endpoint


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Return the endpoint of an S3 server that has what is read."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    data = {f"/{name}": data_of(name) for name in SIZES}
    data |= {"/other": bytes(OTHER_BYTES)}
    data |= {f"/shards/{number}.tar": make_shard(number) for number in range(2)}
    with s3_server() as endpoint:
        for path, content in ({"": b""} | data).items():
            url = f"{endpoint}/data{path}"
            requests.put(url, data=content, headers=SIGNED).raise_for_status()
        yield endpoint


@pytest.fixture(scope="module")
def oss() -> Iterator[str]:
    """Return the endpoint of an OSS server that has what is read."""
    pytest.importorskip("alibabacloud_oss_v2")
    pytest.importorskip("moto")
    with oss_server() as server:
        server.create(ANYBODYS)
        for name in SIZES:
            server.put_raw(ANYBODYS, name, data_of(name))
        server.put_raw(ANYBODYS, "other", bytes(OTHER_BYTES))
        yield server.endpoint


@pytest.fixture(scope="module")
def proxy_to(request: pytest.FixtureRequest) -> Iterator[Callable[[str], FaultProxy]]:
    """Return what gives the fault proxy before a server; each is started once."""
    started: dict[str, FaultProxy] = {}
    with contextlib.ExitStack() as stack:

        def proxy_to(to: str) -> FaultProxy:
            if to not in started:
                server = request.getfixturevalue(to if to in ("s3", "oss") else "endpoint")
                separate = to.startswith("target")
                started[to] = stack.enter_context(FaultProxy(server, separate_targets=separate))
            return started[to]

        yield proxy_to


class Read(NamedTuple):
    """What came of a read: what was read (an error's name, if it failed), and its requests."""

    result: Any
    asked: list[SeenRequest]


def read(way: Way, proxy: FaultProxy, read_s: float | None) -> Read:
    """Read by a way, through a proxy."""
    timeouts, before = Timeouts(read_s=read_s), len(proxy.requests)
    # By another name than other tests use: what this process knows of a cluster at an address could
    # be of one that was there before.
    client = Client(
        proxy.endpoint.replace("127.0.0.1", "localhost"), retry=RETRY, timeouts=timeouts
    )
    # Nor does a batch that was silent in an earlier test count.
    client.session.endpoint_state.no_batches_until_s = 0.0
    direct = DirectSettings(
        proxy.endpoint, region="us-east-1", options=KEYS, timeouts=timeouts, retry=RETRY
    )
    oss = DirectSettings(proxy.endpoint, REGION, OSS_KEYS, timeouts=timeouts, retry=RETRY)
    try:
        result = way.read(Reach(client, direct, oss))
    except AisioError as error:
        result = type(error).__name__
    client.close()
    asked = [r for r in proxy.requests[before:] if r.method == way.method]
    return Read(result, [r for r in asked if fnmatchcase(r.path, way.asks)])


@pytest.fixture(scope="module")
def undisturbed(proxy_to: Callable[[str], FaultProxy]) -> Callable[[str], Read]:
    """Return what gives a way's read without any fault; it is done once."""
    done: dict[str, Read] = {}

    def undisturbed(way: str) -> Read:
        if way not in done:
            done[way] = read(WAYS[way], proxy_to(WAYS[way].to), read_s=None)
        return done[way]

    return undisturbed


@pytest.mark.parametrize(
    ("way", "fault"), [(way, fault) for way in WAYS for fault in FAULTS if expected(way, fault)]
)
def test_every_way_through_every_fault(
    proxy_to: Callable[[str], FaultProxy],
    undisturbed: Callable[[str], Read],
    caplog: pytest.LogCaptureFixture,
    way: str,
    fault: str,
) -> None:
    """Nothing is lost, nothing comes twice, and no more is asked than the table says."""
    how, outcome = WAYS[way], expected(way, fault)
    assert outcome is not None
    right = undisturbed(way)
    # A target that could not be reached is left to the proxy for a while, by later tests as well.
    proxy = proxy_to(f"target of {way}, {fault}" if how.to == "target" else how.to)
    proxy.add(FAULTS[fault](how.at, how.other), method=how.method, path=how.asks, skip=how.skip)
    # Only where something must be waited for is the wait short; elsewhere a slow machine is not to
    # be taken for a stall.
    got = read(how, proxy, read_s=1.0 if fault in ("stall", "silence") else None)
    proxy.clear()
    proxy.release()
    assert not isinstance(right.result, str)
    assert len([request for request in got.asked if request.fault]) == 1
    is_error = isinstance(got.result, str)
    told = got.result if is_error else "same" if got.result == right.result else "other"
    assert told == outcome.what, got.result
    if outcome.what == "same":
        # On a busy machine a sound reply may take longer than the short wait, too.
        timeouts = sum("within the read timeout" in text for text in caplog.messages)
        most = outcome.most + max(0, timeouts - 1)
        assert outcome.more <= len(got.asked) - len(right.asked) <= most
    if how.to == "target":
        assert all(request.node.endswith(TARGET_MARK) for request in right.asked)
        helped = [request for request in got.asked if not request.node.endswith(TARGET_MARK)]
        # What was sent ahead and broke before its turn is sent to the same target once more, which
        # may be back by then. How far a reader is ahead depends on what else the machine does.
        if fault not in ("refused", "restart"):
            assert bool(helped) == (fault == "silence")


def test_the_table_in_the_docs_is_this_one() -> None:
    """What docs/reliability.md says is what was tested."""
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "run: python -m tests.reliability.expected"
