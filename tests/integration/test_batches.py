"""Get-batch against a server that has it, alone and through a proxy that breaks it."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from aisio.client.batch import BatchItem
from aisio.client.client import Bucket, Client
from aisio.client.endpoint_state import shared_state
from aisio.errors import NotFoundError, RangeError, ThrottledError
from aisio.records import Concurrency, ObjectInfo, RetryPolicy
from aisio.testing.fault_proxy import Corrupt, Cut, FaultProxy, SeenRequest, Status
from aisio.wire.batch import BatchEntry

DATA = {f"d{number % 3}/o {number:02d}?%": b"%04d" % number * number * 50 for number in range(30)}
NAMES = sorted(DATA)
ALL = [(name, DATA[name]) for name in NAMES]


@pytest.fixture(scope="module")
def filled(client: Client) -> Iterator[Bucket]:
    """Return a bucket with thirty objects, the first of them empty, and a shard."""
    bucket = client.bucket(f"aisio-test-{uuid.uuid4().hex[:12]}").create()
    for name, data in DATA.items():
        bucket.object(name).put(data)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("in/a.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"12345"))
    bucket.object("shards/s.tar").put(target.getvalue())
    yield bucket
    bucket.delete(missing_ok=True)


def read(found: Iterator[tuple[ObjectInfo, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """Read all there is."""
    return [(info.name, data) for info, data in found]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("output_format", [".tar", ".tgz"])
def test_all_come_in_the_order_asked_for(
    filled: Bucket, streaming: bool, output_format: str
) -> None:
    """AIS-23: also one of them twice, and with its checksum from the listing compared."""
    infos = list(filled.list(prefix="d", props="name,size,checksum"))
    infos.append(infos[3])
    found = filled.client.get_batch(infos, streaming=streaming, output_format=output_format)
    assert read(found) == [*ALL, ALL[3]]


@pytest.mark.parametrize("streaming", [True, False])
def test_members_ranges_and_what_is_missing(filled: Bucket, streaming: bool) -> None:
    """Each at its place."""
    client, root = filled.client, str(filled.url).rstrip("/")
    url = filled.object(NAMES[9]).url
    entries: list[BatchItem] = [
        (f"{root}/shards/s.tar", "in/a.txt"),
        filled.object("d0/nope"),
        BatchEntry(url, start=1, length=6),
        (f"{root}/shards/s.tar", "in/nope"),
        (f"{root}/shards/nope.tar", "in/a.txt"),
        filled.object(NAMES[4]),
    ]
    expected: list[tuple[str, bytes | None]] = [
        ("shards/s.tar/in/a.txt", b"12345"),
        ("d0/nope", None),
        (NAMES[9], DATA[NAMES[9]][1:7]),
        ("shards/s.tar/in/nope", None),
        ("shards/nope.tar/in/a.txt", None),
        (NAMES[4], DATA[NAMES[4]]),
    ]
    assert read(client.get_batch(entries, streaming=streaming, missing="none")) == expected
    there = [one for one in expected if one[1] is not None]
    assert read(client.get_batch(entries, streaming=streaming, missing="skip")) == there
    found = client.get_batch(entries, streaming=streaming)
    assert next(found)[1] == b"12345"
    with pytest.raises(NotFoundError, match="d0/nope"):
        next(found)


def test_more_are_missing_than_the_server_bears(filled: Bucket) -> None:
    """It gives up after a few; we do not."""
    names = [f"d0/nope{number}" for number in range(20)]
    objects = [filled.object(name) for name in (*NAMES[:5], *names, *NAMES[5:])]
    assert read(filled.client.get_batch(objects, missing="skip")) == ALL


@pytest.mark.parametrize("streaming", [True, False])
def test_a_range_beyond_the_end(filled: Bucket, streaming: bool) -> None:
    """Whatever the node that has it makes of that."""
    url = filled.object(NAMES[9]).url
    entries: list[BatchItem] = [filled.object(NAMES[1]), BatchEntry(url, start=1, length=10**6)]
    found = filled.client.get_batch(entries, streaming=streaming)
    assert next(found)[1] == DATA[NAMES[1]]
    with pytest.raises(RangeError, match="1000000 bytes from 1"):
        next(found)


def test_a_missing_bucket_is_no_empty_batch(client: Client) -> None:
    """Not even where what is missing may be skipped."""
    with pytest.raises(NotFoundError):
        list(client.get_batch(["ais://aisio-test-no-such/a"], missing="skip"))


@pytest.mark.parametrize("concurrency", [None, 1, 5, Concurrency(most_bytes=1000)])
def test_a_group_is_read_whole_and_in_order(filled: Bucket, concurrency: Any) -> None:
    """Several at once, as an iterator."""
    group = filled.objects([*NAMES, NAMES[0]])
    found = list(group.get_all(concurrency=concurrency))
    assert [(info.name, data) for info, data in found] == [*ALL, ALL[0]]
    assert found[7][0].checksum == filled.object(NAMES[7]).head().checksum is not None


@pytest.fixture
def proxy(endpoint: str) -> Iterator[FaultProxy]:
    """Return a proxy that breaks what it is told to; an earlier one may have had its port."""
    with FaultProxy(endpoint) as proxy:
        shared_state(proxy.endpoint).maps.forget_map()
        yield proxy


def batches(proxy: FaultProxy) -> list[SeenRequest]:
    """Return the get-batch requests that were answered by an archive or an error."""
    return [
        request
        for request in proxy.requests
        if "/v1/ml/moss" in request.path and request.status != 307
    ]


def gets(proxy: FaultProxy) -> list[SeenRequest]:
    """Return the requests for single objects."""
    return [request for request in proxy.requests if request.path.startswith("/v1/objects/")]


def through(proxy: FaultProxy) -> Client:
    """Return a client that does not wait long."""
    return Client(proxy.endpoint, retry=RetryPolicy(attempts=3, first_wait_s=0.01))


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("after_bytes", [0, 1, 511, 5000, 80_000])
@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_batch_is_completed(
    filled: Bucket, proxy: FaultProxy, streaming: bool, after_bytes: int, reset: bool
) -> None:
    """What had not come is read object by object; nothing is asked for twice."""
    proxy.add(Cut(after_bytes, reset=reset), path="/v1/ml/moss/*", skip=1, times=1)
    infos = list(filled.list(prefix="d"))
    assert read(through(proxy).get_batch(infos, streaming=streaming)) == ALL
    assert len(batches(proxy)) == 1
    paths = [request.path for request in gets(proxy)]
    assert len(paths) == len(set(paths)) <= len(ALL)


@pytest.mark.parametrize("at_byte", [3, 600, 3000, 20_000, 60_123])
def test_a_corrupt_byte_is_made_good(filled: Bucket, proxy: FaultProxy, at_byte: int) -> None:
    """Headers have checksums of their own, payloads those of the listing."""
    proxy.add(Corrupt(at_byte), path="/v1/ml/moss/*", skip=1, times=1)
    infos = list(filled.list(prefix="d", props="name,size,checksum"))
    assert read(through(proxy).get_batch(infos)) == ALL
    assert len(batches(proxy)) == 1


def test_a_busy_cluster_is_asked_again(filled: Bucket, proxy: FaultProxy) -> None:
    """And gives the whole batch then."""
    proxy.add(Status(429, retry_after_s=0), path="/v1/ml/moss*", times=2)
    assert read(through(proxy).get_batch(filled.list(prefix="d"))) == ALL
    assert [request.status for request in batches(proxy)] == [429, 429, 200]
    assert gets(proxy) == []


def test_a_cluster_that_stays_busy_is_left_alone(filled: Bucket, proxy: FaultProxy) -> None:
    """After as many tries as the policy says."""
    proxy.add(Status(429), path="/v1/ml/moss*", times=None)
    with pytest.raises(ThrottledError):
        list(through(proxy).get_batch(filled.list(prefix="d")))
    assert [request.status for request in batches(proxy)] == [429] * 3
    assert gets(proxy) == []
