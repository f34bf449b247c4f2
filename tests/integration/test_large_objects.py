"""Large objects by parallel ranges, and seekable readers, on good days and on bad ones."""

from __future__ import annotations

import io
import tracemalloc
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisio.client.client import Bucket, Client
from aisio.client.object import Object
from aisio.errors import IntegrityError, NotFoundError
from aisio.records import RetryPolicy, Settings, Timeouts
from aisio.testing.fault_proxy import Corrupt, Cut, Fault, FaultProxy, Stall, Status
from aisio.transport.body import READ_PIECE_BYTES
from aisio.transport.parallel import STREAMS, plan_parts, read_into
from aisio.transport.targets import BufferTarget

MIB = 1024 * 1024
LARGE = (bytes(range(251)) * (64 * MIB // 251 + 1))[: 64 * MIB]
SMALL = LARGE[: 3 * MIB]
PARTS = len(plan_parts(len(LARGE)))


@pytest.fixture(scope="module")
def names(client: Client) -> Iterator[Bucket]:
    """Return a bucket with a large object and a small one."""
    bucket = client.bucket(f"aisio-test-{uuid.uuid4().hex[:12]}").create()
    bucket.object("large").put(LARGE)
    bucket.object("small").put(SMALL)
    yield bucket
    bucket.delete(missing_ok=True)


@contextmanager
def behind(
    endpoint: str, bucket: Bucket, name: str, read_s: float = 20
) -> Iterator[tuple[FaultProxy, Object]]:
    """Give a fault proxy, and an object that is reached through it."""
    with FaultProxy(endpoint) as proxy:
        options = Settings(
            proxy.endpoint,
            retry=RetryPolicy(first_wait_s=0),
            timeouts=Timeouts(read_s=read_s),
        )
        client = Client.from_settings(options)
        yield proxy, client.bucket(bucket.name).object(name)
        client.close()


def gets(proxy: FaultProxy, name: str) -> list[str]:
    """Return the Range headers of all requests for the object that a node answered with data."""
    return [
        request.headers.get("range", "")
        for request in proxy.requests
        if request.method == "GET" and request.path.endswith(f"/{name}") and request.status != 301
    ]


def struck_data(proxy: FaultProxy) -> bool:
    """Tell whether a fault struck an answer with data.

    Reads go by the cluster's proxy for a while where a target could not be reached, as on a machine
    that has too much to do. Its redirects are followed though they break off behind their heads.
    """
    return any(request.fault and request.status != 301 for request in proxy.requests)


@pytest.mark.parametrize("name", ["large", "small"])
def test_every_way_gives_the_same_bytes(names: Bucket, tmp_path: Path, name: str) -> None:
    """AIS-23: bytes, buffer, file, range, seekable file."""
    item, data = names.object(name), {"large": LARGE, "small": SMALL}[name]
    assert item.get() == data
    buffer = bytearray(len(data) + 1)
    assert item.get(into=buffer) == len(data)
    assert buffer == data + b"\0"
    assert item.get(into=tmp_path / "a") == len(data)
    assert item.get(into=str(tmp_path / "b"), start=7, stop=len(data) - 5) == len(data) - 12
    assert (tmp_path / "a").read_bytes() == data
    assert (tmp_path / "b").read_bytes() == data[7:-5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    with item.open() as file:
        assert file.read(10) == data[:10]
        assert file.read() == data[10:]


def test_a_large_object_takes_one_request_and_one_for_each_part(
    names: Bucket, endpoint: str
) -> None:
    """AIS-23: the first one tells what there is; to read on in it is as slow as one stream."""
    with behind(endpoint, names, "large") as (proxy, item):
        assert item.get() == LARGE
        parts = [str(part) for part in plan_parts(len(LARGE))]
        assert sorted(gets(proxy, "large")) == sorted(["", *parts])


@pytest.mark.parametrize(
    "fault",
    [Cut(0), Cut(5 * MIB), Cut(5 * MIB, reset=True), Status(503), Stall(MIB)],
    ids=str,
)
def test_a_part_that_breaks_off_is_gone_on_with(
    names: Bucket, endpoint: str, fault: Fault, tmp_path: Path
) -> None:
    """One more request, and the bytes are right."""
    read_s = 1.0 if isinstance(fault, Stall) else 20.0
    with behind(endpoint, names, "large", read_s) as (proxy, item):
        proxy.add(fault, method="GET", path="*/large", skip=2)
        assert item.get(into=tmp_path / "a") == len(LARGE)
        again = len(gets(proxy, "large")) - 1 - PARTS
        # A slow machine may stall by itself.
        assert again == struck_data(proxy) or (again > 1 and read_s < 20)
        assert [seen.fault for seen in proxy.requests if seen.fault] == [type(fault).__name__]
    assert (tmp_path / "a").read_bytes() == LARGE


def test_a_corrupt_byte_leaves_no_file(names: Bucket, endpoint: str, tmp_path: Path) -> None:
    """The old file stays, the error says what differs."""
    (tmp_path / "a").write_bytes(b"old")
    with behind(endpoint, names, "large") as (proxy, item):
        proxy.add(Corrupt(12_345), method="GET", path="*/large", skip=3)
        with pytest.raises(IntegrityError, match="wrong xxhash2 checksum over 67,108,864 bytes"):
            item.get(into=tmp_path / "a")
        assert len(gets(proxy, "large")) == 1 + PARTS
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_file_takes_a_piece_of_memory_for_each_stream(names: Bucket, tmp_path: Path) -> None:
    """However large the object is."""
    tracemalloc.start()
    try:
        names.object("large").get(into=tmp_path / "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (STREAMS + 2) * READ_PIECE_BYTES


def test_a_missing_object_leaves_no_file(names: Bucket, tmp_path: Path) -> None:
    """Nothing was written, so there is nothing to find."""
    with pytest.raises(NotFoundError):
        names.object("none").get(into=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_an_object_replaced_before_its_parts_are_read_is_an_error(bucket: Bucket) -> None:
    """Never a mixture, though the sizes are the same."""
    item = bucket.object("o")
    item.put(LARGE)
    with item.stream() as body:
        assert body.read(1000) == LARGE[:1000]
        body.detach()
        item.put(LARGE[::-1])
        with pytest.raises(IntegrityError, match="the object was replaced while it was read"):
            read_into(body, BufferTarget(bytearray(len(LARGE))))


@pytest.mark.parametrize("after_bytes", [0, 1, 256 * 1024, MIB + 1, len(SMALL) - 1])
@pytest.mark.parametrize("whole", [False, True])
def test_a_reader_goes_on_after_a_cut(
    names: Bucket, endpoint: str, after_bytes: int, whole: bool
) -> None:
    """HEAD, the reply that is cut, and the one that goes on."""
    with behind(endpoint, names, "small") as (proxy, item):
        proxy.add(Cut(after_bytes), method="GET", path="*/small")
        with item.open() as file:
            got = file.read() if whole else b"".join(iter(lambda: file.read(100_000), b""))
        assert got == SMALL
        again = [f"bytes={after_bytes}-"] if struck_data(proxy) else []
        assert gets(proxy, "small") == ["", *again]


steps = st.tuples(st.sampled_from(["seek", "read"]), st.integers(0, len(SMALL)))


@pytest.fixture(scope="module")
def line(names: Bucket, endpoint: str) -> Iterator[tuple[FaultProxy, Object]]:
    """Return a proxy and the small object behind it, for many examples."""
    with behind(endpoint, names, "small") as both:
        yield both


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(steps, max_size=8), cuts=st.lists(st.integers(0, MIB), max_size=4))
def test_any_seeks_and_reads_over_a_bad_line_are_those_of_a_local_file(
    line: tuple[FaultProxy, Object], steps: list[tuple[str, int]], cuts: list[int]
) -> None:
    """Wherever replies are cut: io.BytesIO is the reference."""
    proxy, item = line
    proxy.clear()
    for after_bytes in cuts:
        proxy.add(Cut(after_bytes), method="GET", path="*/small")
    local: Any = io.BytesIO(SMALL)
    with item.open() as remote:
        for step, number in [*steps, ("read", -1)]:
            assert getattr(remote, step)(number) == getattr(local, step)(number)
            assert remote.tell() == local.tell()
