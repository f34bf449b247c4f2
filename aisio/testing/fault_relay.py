"""The process that `FaultProxy` starts: it forwards requests, and breaks some of them.

    client ── Node (one port for each server) ── Exchange ──> server
                 FaultProxy sends commands on stdin and reads results from stdout, as lines of JSON

Each request goes to the server on a connection of its own. The server could close a kept connection
just then: a fault that no rule asks for, which is worse than a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from aisio.testing.fault_http import Head, encode_piece, iter_body, read_head, reset
from aisio.testing.fault_proxy import (
    TARGET_MARK,
    Corrupt,
    Cut,
    Fault,
    Misroute,
    Refuse,
    Restart,
    Rule,
    SeenRequest,
    Stall,
    Status,
    Trickle,
)
from aisio.testing.fault_rules import Rules

_BUFFER_BYTES = 1 << 20
_ABSOLUTE_URL = re.compile(r"http://[^/?#]+")
# Raised for a broken connection, and for a head or body that ends too soon.
_CONNECTION_ERRORS = (OSError, EOFError, asyncio.LimitOverrunError)


class Relay:
    """All nodes, the rules, and the requests so far."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.seen: list[SeenRequest] = []
        self.connections = 0
        self.released = asyncio.Event()
        self.separate_targets = False
        self._rules = Rules()
        self._opening = asyncio.Lock()

    async def run_command(self, command: str, argument: Any) -> Any:
        """Run a command of FaultProxy and return its result."""
        match command:
            case "open":
                server, self.separate_targets = argument
                return await self.endpoint_of(server.rstrip("/"))
            case "add":
                self._rules.add(msgspec.convert(argument, Rule))
            case "clear":
                self._rules.clear()
                for node in self.nodes.values():
                    node.refusals = 0
            case "release":
                self.released.set()
                self.released = asyncio.Event()
            case "down":
                for node in self.nodes.values():
                    node.take_down()
            case "up":
                for node in self.nodes.values():
                    await node.listen()
            case "requests":
                return self.seen
            case "connections":
                return self.connections
            case "nodes":
                return {server: node.endpoint for server, node in self.nodes.items()}
        return None

    async def endpoint_of(self, server: str, mark: str = "") -> str:
        """Return the proxy's endpoint for a server, opened on first use.

        Args:
            server: Base URL of the server.
            mark: Distinguishes several endpoints of the same server.
        """
        name = server + mark
        async with self._opening:
            if name not in self.nodes:
                node = Node(self, server, name)
                await node.listen()
                self.nodes[name] = node
            return self.nodes[name].endpoint

    async def rewrite_url(self, url: str, mark: str = "") -> str:
        """Return a URL that goes through the proxy; a relative or https URL stays as it is."""
        match = _ABSOLUTE_URL.match(url)
        if match is None or any(match[0] == node.endpoint for node in self.nodes.values()):
            return url
        return await self.endpoint_of(match[0], mark) + url[match.end() :]

    async def rewrite_cluster_map(self, body: bytes) -> bytes:
        """Return a cluster map in which each node has its endpoint at the proxy."""
        cluster_map = msgspec.json.decode(body)
        proxy_url = cluster_map["proxy_si"]["public_net"]["direct_url"]
        for node in (cluster_map["proxy_si"], *cluster_map["pmap"].values()):
            await self._rewrite_address(node["public_net"])
        for node in cluster_map["tmap"].values():
            is_proxy = node["public_net"]["direct_url"] == proxy_url
            mark = TARGET_MARK if is_proxy and self.separate_targets else ""
            await self._rewrite_address(node["public_net"], mark)
        return msgspec.json.encode(cluster_map)

    async def _rewrite_address(self, net: dict[str, Any], mark: str = "") -> None:
        url = await self.rewrite_url(net["direct_url"], mark)
        host, _, port = url.removeprefix("http://").rpartition(":")
        net |= {"direct_url": url, "node_ip_addr": host, "daemon_port": port}

    def record_request(self, seen: SeenRequest) -> Fault | None:
        """Record a request and return its fault, if a rule matches."""
        fault = self._rules.choose(seen, self.seen)
        seen.fault = type(fault).__name__ if fault else ""
        self.seen.append(seen)
        return fault


class Node:
    """The proxy's port for one server."""

    def __init__(self, relay: Relay, server: str, name: str) -> None:
        self.relay = relay
        self.server = server
        self.name = name
        self.endpoint = ""
        self.refusals = 0
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        """Accept connections; the port stays the same after `take_down`."""
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._accept, "127.0.0.1", self._port, limit=_BUFFER_BYTES
            )
            self._port = self._listener.sockets[0].getsockname()[1]
            self.endpoint = f"http://127.0.0.1:{self._port}"

    def take_down(self) -> None:
        """Break all connections and accept no more."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.restart(0)

    def restart(self, refusals: int) -> None:
        """Break all connections, and the next `refusals` ones as soon as they are accepted."""
        self.refusals += refusals
        for client in tuple(self._clients):
            reset(client)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to the server."""
        host, _, port = self.server.removeprefix("http://").rpartition(":")
        if not host:
            host, port = port, "80"
        return await asyncio.open_connection(host.strip("[]"), int(port), limit=_BUFFER_BYTES)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.relay.connections += 1
        if self.refusals:
            self.refusals -= 1
            return reset(writer)
        self._clients.add(writer)
        # So drain() waits until the kernel has all bytes, and those before a cut are really sent.
        writer.transport.set_write_buffer_limits(0)
        try:
            with contextlib.suppress(*_CONNECTION_ERRORS):
                while await Exchange(self, reader, writer).run():
                    pass
        finally:
            self._clients.discard(writer)
            writer.close()
        return None


class Exchange:
    """One request and its response."""

    def __init__(
        self, node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._node = node
        self._relay = node.relay
        self._reader = reader
        self._writer = writer

    async def run(self) -> bool:
        """Forward the request or apply its fault; return whether the connection can be reused."""
        request = await read_head(self._reader)
        method, target, _ = request.start_line.split(" ", 2)
        seen = SeenRequest(method, target, request.combined_headers(), self._node.name)
        fault = self._relay.record_request(seen)
        if isinstance(fault, Refuse):
            return self._hang_up(by_reset=fault.reset)
        if isinstance(fault, Restart):
            self._node.restart(fault.refused_connections)
            return False
        if isinstance(fault, Status):
            return await self._respond(fault, request, seen)
        if isinstance(fault, Misroute):
            target = fault.target
        try:
            server_reader, server_writer = await self._node.connect()
        except OSError:
            return self._hang_up(by_reset=True)
        request_body = asyncio.create_task(self._send_request(request, target, server_writer))
        try:
            return await self._relay_response(request, server_reader, seen, fault, request_body)
        finally:
            request_body.cancel()
            server_writer.close()

    async def _send_request(self, request: Head, target: str, server: asyncio.StreamWriter) -> None:
        method = request.start_line.partition(" ")[0]
        head = request.without_hop_by_hop().with_header(
            "Host", self._node.server.removeprefix("http://")
        )
        head = head.with_header("Connection", "close")
        server.write(head.encode(f"{method} {target} HTTP/1.1"))
        # A server that responds early or closes is handled where its response is read.
        with contextlib.suppress(*_CONNECTION_ERRORS):
            async for piece in iter_body(self._reader, request.body_length(of_request=True)):
                server.write(encode_piece(piece, chunked=request.is_chunked))
                await server.drain()
            if request.is_chunked:
                server.write(b"0\r\n\r\n")

    async def _relay_response(
        self,
        request: Head,
        server: asyncio.StreamReader,
        seen: SeenRequest,
        fault: Fault | None,
        request_body: asyncio.Task[None],
    ) -> bool:
        response = await self._read_final_head(server)
        if response is None:
            return self._hang_up(by_reset=True)
        bodiless = seen.method == "HEAD" or response.status in (204, 304)
        size_bytes = 0 if bodiless else response.body_length(of_request=False)
        body = iter_body(server, size_bytes)
        location = response.get("Location")
        if location is not None:
            response = response.with_header("Location", await self._relay.rewrite_url(location))
        is_map = seen.path == "/v1/daemon" and "what=smap" in seen.target
        if is_map and response.status == 200 and not bodiless:
            original = b"".join([piece async for piece in body])
            rewritten = await self._relay.rewrite_cluster_map(original)
            size_bytes, body = len(rewritten), _single_piece(rewritten)
            response = response.without("Transfer-Encoding")
            response = response.with_header("Content-Length", str(size_bytes))
        is_reusable = request_body.done() and request.keeps_alive and size_bytes is not None
        if isinstance(fault, Stall) and fault.after_bytes is None:
            await self._relay.released.wait()
        seen.status = response.status
        head = response.without_hop_by_hop()
        if not is_reusable:
            head = head.with_header("Connection", "close")
        self._writer.write(head.encode(response.start_line))
        await self._writer.drain()
        chunked = response.is_chunked and not bodiless
        if not await self._send_body(body, fault, seen, chunked=chunked):
            return False
        return is_reusable or await self._close_lingering()

    async def _read_final_head(self, server: asyncio.StreamReader) -> Head | None:
        """Read the final head; forward the interim responses (100 Continue) before it."""
        with contextlib.suppress(*_CONNECTION_ERRORS):
            while (head := await read_head(server)).status < 200:
                self._writer.write(head.encode(head.start_line))
            return head
        return None

    async def _send_body(
        self,
        body: AsyncIterator[bytes],
        fault: Fault | None,
        seen: SeenRequest,
        *,
        chunked: bool,
    ) -> bool:
        stop = fault.after_bytes if isinstance(fault, Cut | Stall) else None
        async for received in body:
            piece = _corrupted(received, fault, seen.sent_bytes)
            if stop is not None and seen.sent_bytes + len(piece) >= stop:
                before = piece[: stop - seen.sent_bytes]
                piece, stop = piece[len(before) :], None
                await self._write(before, seen, chunked=chunked)
                if isinstance(fault, Cut):
                    return self._hang_up(by_reset=fault.reset)
                await self._relay.released.wait()
            step = fault.piece_bytes if isinstance(fault, Trickle) else len(piece)
            for start in range(0, len(piece), step or 1):
                await self._write(piece[start : start + step], seen, chunked=chunked)
                if isinstance(fault, Trickle):
                    await asyncio.sleep(fault.pause_s)
        if chunked:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def _write(self, piece: bytes, seen: SeenRequest, *, chunked: bool) -> None:
        # Counted before they are sent: a client that has the bytes finds them counted.
        seen.sent_bytes += len(piece)
        self._writer.write(encode_piece(piece, chunked=chunked) if piece else b"")
        await self._writer.drain()

    async def _respond(self, fault: Status, request: Head, seen: SeenRequest) -> bool:
        body = b"FaultProxy: as told\n"
        is_reusable = request.keeps_alive and request.body_length(of_request=True) == 0
        head = Head("", (("Content-Type", "text/plain"), ("Content-Length", str(len(body)))))
        if fault.retry_after_s is not None:
            head = head.with_header("Retry-After", str(fault.retry_after_s))
        if not is_reusable:
            head = head.with_header("Connection", "close")
        seen.status = fault.status
        self._writer.write(head.encode(f"HTTP/1.1 {fault.status} Fault"))
        if seen.method != "HEAD":
            await self._write(body, seen, chunked=False)
        await self._writer.drain()
        return is_reusable or await self._close_lingering()

    async def _close_lingering(self) -> bool:
        """End the response and read until the client closes: unread data would cause an RST."""
        self._writer.write_eof()
        with contextlib.suppress(RuntimeError):  # another task reads the request's body
            while await self._reader.read(_BUFFER_BYTES):
                pass
        return False

    def _hang_up(self, *, by_reset: bool) -> bool:
        if by_reset:
            reset(self._writer)
        return False


def _corrupted(piece: bytes, fault: Fault | None, position: int) -> bytes:
    at = fault.at_byte - position if isinstance(fault, Corrupt) else -1
    if not 0 <= at < len(piece):
        return piece
    return piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]


async def _single_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _main() -> None:
    # asyncio would log each connection that is broken on purpose.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    relay = Relay()
    commands = asyncio.StreamReader(limit=_BUFFER_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := await commands.readline():
        command, argument = msgspec.json.decode(line)
        try:
            answer = ["", await relay.run_command(command, argument)]
        except OSError as error:
            answer = [str(error), None]
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_main())
