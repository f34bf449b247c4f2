"""A body that comes byte by byte never stalls: it is measured, and gone on with elsewhere."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Client, RetryPolicy, Timeouts
from aisio.errors import StoreTimeoutError
from aisio.gateway import Gateway
from aisio.stores import DirectSettings, DirectStore
from aisio.testing.fault_proxy import FaultProxy, Trickle
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server

DATA = bytes(range(251)) * 4000
MANY = [*(f"n{number:0200}" for number in range(100)), "o"]
SLOW = Trickle(piece_bytes=100, pause_s=0.05)
"""2 KB a second: all of it would take minutes, and no wait is longer than a twentieth of one."""

LIMITS = Timeouts(read_s=20, least_bytes_per_s=50_000, slow_s=0.5)


def archive(members: dict[str, bytes]) -> bytes:
    """Return a tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a gateway that has one object."""
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        bucket = Client(gateway.endpoint).bucket("data").create()
        for name in MANY:
            bucket.object(name).put(b"")
        bucket.object("o").put(DATA)
        bucket.object("a.tar").put(archive({"m": DATA}))
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


def test_a_member_of_an_archive_that_trickles_is_asked_for_again(endpoint: str) -> None:
    """Whole: it cannot be gone on with."""
    with FaultProxy(endpoint) as proxy:
        proxy.add(SLOW, method="GET", path="/v1/objects/*")
        client = Client(proxy.endpoint, retry=RetryPolicy(first_wait_s=0), timeouts=LIMITS)
        assert client.bucket("data").object("a.tar").get_member("m") == DATA
        client.close()
        asked = [seen for seen in proxy.requests if "/objects/" in seen.path]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("streaming", "output_format"), [(True, ".tar"), (True, ".tgz"), (False, ".tar")]
)
def test_a_batch_that_trickles_is_read_one_by_one(
    endpoint: str, streaming: bool, output_format: str
) -> None:
    """From where it was given up."""
    urls = ["ais://data/o", f"ais://data/{MANY[0]}"]
    with FaultProxy(endpoint) as proxy:
        proxy.add(SLOW, method="GET", path="/v1/ml/*", skip=1)
        client = Client(proxy.endpoint, retry=RetryPolicy(first_wait_s=0), timeouts=LIMITS)
        found = client.get_batch(urls, streaming=streaming, output_format=output_format)
        assert [data for _, data in found] == [DATA, b""]
        client.close()
        asked = [seen.path for seen in proxy.requests if seen.method == "GET"]
    assert len([path for path in asked if path.startswith("/v1/ml/")]) == 2  # one is a redirect
    assert len([path for path in asked if path.startswith("/v1/objects/")]) == 2


def test_a_transformed_object_that_trickles_is_asked_for_again() -> None:
    """From its start: a transformation cannot be gone on with."""
    reply = Reply(200, DATA)
    with Server(reply, reply) as server, FaultProxy(server.url) as proxy:
        proxy.add(SLOW, method="GET", path="/v1/objects/*")
        retry = RetryPolicy(first_wait_s=0)
        client = Client(proxy.endpoint, retry=retry, timeouts=LIMITS, direct=False)
        assert client.object("ais://b/o").get(etl_name="e") == DATA
        client.close()
        assert ["etl_name=e" in request.target for request in server.requests] == [True, True]


def test_a_direct_store_begins_anew_where_the_line_trickles() -> None:
    """By itself obstore waits for as long as a byte comes now and then."""
    pytest.importorskip("obstore")
    reply = Reply(200, DATA, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})
    with Server(reply, reply) as server, FaultProxy(server.url) as proxy:
        proxy.add(Trickle(piece_bytes=2000, pause_s=0.05), method="GET", path="/o")
        retry = RetryPolicy(first_wait_s=0)
        store = DirectStore(DirectSettings(timeouts=LIMITS, retry=retry))
        assert store.read(ObjectUrl.parse(f"{proxy.endpoint}/o")) == DATA
        assert len(server.requests) == 2


@contextmanager
def thoughtful(thinks_s: float, data: bytes) -> Iterator[str]:
    """Give the URL of a server that sends a head, thinks, and sends the data byte by byte."""

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
            time.sleep(thinks_s)
            for byte in data:
                connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_what_is_thought_over_before_the_first_byte_is_waited_for() -> None:
    """An ETL may take its time, and so may a node that gathers a batch."""
    with thoughtful(2 * LIMITS.slow_s, b"x" * 100) as url:
        client = Client(url, timeouts=LIMITS, retry=RetryPolicy(attempts=1), direct=False)
        assert client.object("ais://b/o").get(etl_name="e") == b"x" * 100
        client.close()


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
        assert [info.name for info in client.bucket("data").list()] == ["a.tar", *MANY]
        client.close()
        asked = [seen for seen in proxy.requests if seen.path.startswith("/v1/buckets/")]
    assert len(asked) == 2
