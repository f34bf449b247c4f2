"""How many connections there may be, and when the server closes idle ones."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests
from aiohttp import web

from aisio.gateway.http.connections import MAX_CONNECTIONS, BoundedServer
from aisio.gateway.http.responses import send_file

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    """Send a whole response before returning, as the gateway does."""
    response = web.Response(text="hello")
    await response.prepare(request)
    await response.write_eof()
    return response


class ServerUnderTest:
    """A server, and the test's connections to it.

    Args:
        server: The server.
        port: Where it listens.
    """

    def __init__(self, server: BoundedServer, port: int) -> None:
        self.server = server
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Client:
        """Open a connection."""
        client = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(client[1])
        return client

    async def connect_and_wait(self) -> Client:
        """Open a connection; return it when the server has registered it."""
        before = set(self.server.connections)
        client = await self.connect()
        while set(self.server.connections) <= before:
            await asyncio.sleep(0)
        return client

    async def close(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def running(
    clock: Clock,
    *,
    limit: int = 3,
    tls: ssl.SSLContext | None = None,
    app: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = hello,
    stall_s: float = 600,
) -> AsyncIterator[ServerUnderTest]:
    """Run a server with few connections."""
    server = BoundedServer(
        app, limit=limit, idle_s=75, stall_s=stall_s, clock=clock, access_log=None
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        task = asyncio.create_task(server.accept(listening, tls))
        under_test = ServerUnderTest(server, listening.getsockname()[1])
        try:
            yield under_test
        finally:
            task.cancel()
            await asyncio.wait([task])
            await under_test.close()
            await server.shutdown(1)


async def is_served(client: Client) -> bool:
    """Send a request; return whether a response comes before the connection ends."""
    reader, writer = client
    writer.write(REQUEST)
    try:
        return (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


async def is_ended(client: Client) -> bool:
    """Wait until the server ends a connection."""
    try:
        return await client[0].read() == b""
    except ConnectionError:
        return True


async def send_pieces(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Send an endless response."""
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 20))


async def send_large_file(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Send more than the connection's buffers hold, by sendfile."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.truncate(1 << 30)
        await send_file(request, file, 0, 1 << 30, response)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such limit")
@pytest.mark.parametrize("send", [send_pieces, send_large_file])
def test_a_connection_whose_client_reads_nothing_of_its_response_is_closed(
    send: Callable[[web.BaseRequest, web.StreamResponse], Awaitable[None]],
) -> None:
    """It is not idle: a client that held all connections like this would lock out all others."""

    async def main() -> BaseException | None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def app(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            try:
                await send(request, response)
            except ConnectionError as error:
                ended.set_exception(error)
            return response

        async with running(Clock(), app=app, stall_s=0.1) as server:
            _, writer = await server.connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(REQUEST)
            await asyncio.wait([ended], timeout=30)
            return ended.exception()

    assert isinstance(asyncio.run(main()), ConnectionError)


def test_a_connection_without_a_request_is_closed() -> None:
    """After no byte, after half a head, and after a first request."""

    async def main() -> None:
        clock = Clock()
        async with running(clock) as under_test:
            silent, slow, used = [await under_test.connect_and_wait() for _ in range(3)]
            slow[1].write(REQUEST[:-2])
            assert await is_served(used)
            clock.now_s += 74
            under_test.server.close_idle()
            assert await is_served(used)
            clock.now_s += 1
            under_test.server.close_idle()
            assert await is_ended(silent)
            assert await is_ended(slow)
            assert await is_served(used)
            clock.now_s += 75
            under_test.server.close_idle()
            assert await is_ended(used)
            assert under_test.server.open_connections == 0

    asyncio.run(main())


def test_a_new_connection_takes_the_place_of_the_one_idle_longest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client that holds many locks nobody out; the log says so once a minute."""

    async def main() -> None:
        clock = Clock()
        async with running(clock) as under_test:
            first, second, third = [await under_test.connect_and_wait() for _ in range(3)]
            assert await is_served(first)
            fourth = await under_test.connect_and_wait()
            assert await is_ended(second)
            fifth = await under_test.connect_and_wait()
            assert await is_ended(third)
            for client in (first, fourth, fifth):
                assert await is_served(client)
            assert under_test.server.open_connections == 3

    asyncio.run(main())
    (line,) = caplog.messages
    assert line.startswith("3 connections are open")
    assert "ulimit -n" in line


def test_where_all_are_busy_a_new_connection_gets_503(caplog: pytest.LogCaptureFixture) -> None:
    """It does not wait, requests in flight go on, and the log says so.

    An earlier warning about closed idle connections does not suppress this one.
    """

    async def main() -> None:
        clock, arrived, leave = Clock(), asyncio.Semaphore(0), asyncio.Event()

        async def slow(request: web.BaseRequest) -> web.StreamResponse:
            arrived.release()
            await leave.wait()
            return await hello(request)

        async with running(clock, app=slow) as under_test:
            gone, *busy = [await under_test.connect_and_wait() for _ in range(4)]
            assert await is_ended(gone)
            for _, writer in busy:
                writer.write(REQUEST)
                await arrived.acquire()
            clock.now_s += 1000
            under_test.server.close_idle()
            refused, _ = await under_test.connect()
            assert (await refused.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            leave.set()
            for reader, _ in busy:
                assert await reader.readuntil(b"hello")

    asyncio.run(main())
    assert "all 3 connections" in caplog.text


def test_a_connection_in_its_tls_handshake_counts(tls_context: ssl.SSLContext) -> None:
    """It has a descriptor before the client sends anything."""

    async def main() -> None:
        async with running(Clock(), limit=1, tls=tls_context) as under_test:
            silent = await under_test.connect()
            while not under_test.server.open_connections:
                await asyncio.sleep(0)
            refused = await under_test.connect()
            assert await is_ended(refused)
            silent[1].write(b"no TLS at all\r\n\r\n")
            await silent[0].read()
            while under_test.server.open_connections:
                await asyncio.sleep(0)

    asyncio.run(main())


@pytest.fixture
def tls_context() -> ssl.SSLContext:
    """Return a context without a certificate, so that no handshake succeeds."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.mark.parametrize(("files", "connections"), [(64, 16), (1024, 496), (9000, MAX_CONNECTIONS)])
def test_the_limit_of_open_files_leaves_some_in_reserve(files: int, connections: int) -> None:
    """A connection needs two; the soft limit is raised as far as the hard limit allows."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < files:
        pytest.skip("the hard limit of this machine is lower")
    text = (
        "import resource, sys; from aisio.gateway.http.connections import max_connections;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (32, int(sys.argv[1])));"
        "print(max_connections())"
    )
    command = [sys.executable, "-c", text, str(files)]
    root = Path(__file__).parents[3]
    result = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True, text=True)
    assert int(result.stdout) == connections


def test_more_connections_than_the_limit_lock_nobody_out(tmp_path: Path) -> None:
    """Where a process may open 64 files, 100 silent connections leave room for a request."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "o").write_bytes(b"data")
    text = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
        "from aisio.gateway import *; serve(ServerOptions(sys.argv[1], port=0))"
    )
    command = [sys.executable, "-c", text, str(tmp_path)]
    root = Path(__file__).parents[3]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        held = [socket.create_connection(address) for _ in range(100)]
        assert requests.get(f"{endpoint}/v1/objects/b/o", timeout=20).content == b"data"
        process.terminate()
        log = process.communicate()[1]
    for connection in held:
        connection.close()
    assert log.startswith("16 connections are open")
    assert log.count("\n") == 1
