"""FaultProxy: an HTTP proxy that injects faults, to test how a training job handles them.

It runs between a client and an AIStore cluster (or a gateway, or any http server without TLS). It
forwards everything, except that chosen requests get the faults of bad networks and servers:

    with FaultProxy("http://127.0.0.1:8080") as proxy:
        proxy.add(Cut(after_bytes=100_000), method="GET", path="/v1/objects/shards/*", times=2)
        proxy.add(Status(503, retry_after_s=1), path="/v1/objects/*", skip=10)
        train(aisio.Client(proxy.endpoint))
        assert [request.fault for request in proxy.requests if request.fault] == [...]

The proxy has one port for each node. It rewrites the redirects and cluster maps that name other
nodes, so that requests that clients send straight to a target go through it as well.

It runs in a process of its own: a DataLoader worker may fork at any time, and must not inherit the
proxy's sockets, which would keep a broken connection open. Rules count requests and use no clock:
the same requests in the same order get the same faults.

Source:
    RFC 9112 (HTTP/1.1) for what is forwarded. TLS is not supported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from aisio.errors import ConfigError

__all__ = [
    "Corrupt",
    "Cut",
    "FaultProxy",
    "Misroute",
    "Refuse",
    "Restart",
    "SeenRequest",
    "Stall",
    "Status",
    "Trickle",
]

TARGET_MARK = "#target"
"""Ends the name of a node that is the target of a server which is a proxy as well."""

_STOP_S = 10.0


class Cut(msgspec.Struct, frozen=True, tag=True):
    """End the connection inside the response body.

    Attributes:
        after_bytes: Bytes of the body that are sent before.
        reset: End it by RST, as after a crash, not by FIN. The last bytes may then be lost too.
    """

    after_bytes: int
    reset: bool = False


class Corrupt(msgspec.Struct, frozen=True, tag=True):
    """Invert one byte of the body; length and headers stay unchanged.

    Attributes:
        at_byte: Offset of the byte, from 0.
    """

    at_byte: int


class Stall(msgspec.Struct, frozen=True, tag=True):
    """Stop sending inside the body, with the connection open, until `release()`.

    Attributes:
        after_bytes: Bytes of the body that are sent before; None delays the status line too.
    """

    after_bytes: int | None = None


class Refuse(msgspec.Struct, frozen=True, tag=True):
    """Close the connection without a response; the server never gets the request.

    Attributes:
        reset: Close it by RST, not by FIN.
    """

    reset: bool = True


class Status(msgspec.Struct, frozen=True, tag=True):
    """Respond with an error of the proxy's own; the server never gets the request.

    Attributes:
        status: Status code, such as 429 or 503.
        retry_after_s: Value of the Retry-After header; None for no such header.
    """

    status: int
    retry_after_s: int | None = None


class Restart(msgspec.Struct, frozen=True, tag=True):
    """Act as a node that restarts: break all its connections, then refuse the next ones.

    Attributes:
        refused_connections: How many new connections are broken as soon as they are accepted.
    """

    refused_connections: int = 1


class Trickle(msgspec.Struct, frozen=True, tag=True):
    """Send the body in small pieces.

    Attributes:
        piece_bytes: Size of each piece.
        pause_s: Pause after each piece, in seconds.
    """

    piece_bytes: int = 1
    pause_s: float = 0.0005


class Misroute(msgspec.Struct, frozen=True, tag=True):
    """Send the response to another request, with its own headers.

    Attributes:
        target: Path and query of that request. "" means the last request of the same method and
            node with another path; until there is one, the rule does not apply.
    """

    target: str = ""


Fault: TypeAlias = Cut | Corrupt | Stall | Refuse | Status | Restart | Trickle | Misroute


class Rule(msgspec.Struct, frozen=True):
    """Which requests get which fault; see `FaultProxy.add`."""

    fault: Fault
    method: str = "*"
    path: str = "*"
    skip: int = 0
    times: int | None = 1


class SeenRequest(msgspec.Struct):
    """A request that the proxy received.

    Attributes:
        method: HTTP method.
        target: Path and query, as sent.
        headers: Values by lowercase name; those of a repeated header are joined by ", ".
        node: The server it was sent to, such as "http://127.0.0.1:8081". "#target" follows if it
            came through the port that `separate_targets` opens.
        fault: Name of the fault it got, such as "Cut"; "" for none.
        status: Status of the response; 0 while there is none.
        sent_bytes: Bytes of the response body that were sent so far.
    """

    method: str
    target: str
    headers: dict[str, str]
    node: str
    fault: str = ""
    status: int = 0
    sent_bytes: int = 0

    @property
    def path(self) -> str:
        """The path, percent-encoded as sent, without the query."""
        return self.target.partition("?")[0]


class FaultProxy:
    """A proxy in a process of its own; it ends with the `with` block, or with its parent.

    Any thread of the process that started it may use it. A forked worker can only connect to its
    `endpoint`.

    Args:
        target_url: Base URL of the server, such as "http://127.0.0.1:8080".
        separate_targets: Open a port of its own for a target that has the address of its proxy, as
            a gateway's has. Clients then use that port, and the proxy's if it fails.
    """

    def __init__(self, target_url: str, *, separate_targets: bool = False) -> None:
        self._target_url = target_url
        self._separate_targets = separate_targets
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pid = 0
        self._lock = threading.Lock()
        self._endpoint = ""

    def __enter__(self) -> FaultProxy:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The URL for clients, such as "http://127.0.0.1:40123"."""
        return self._endpoint

    def start(self) -> None:
        """Start the proxy; it forwards everything until a fault is added.

        Raises:
            ConfigError: The target is not a plain http URL of a host.
        """
        parts = urlsplit(self._target_url)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
            raise ConfigError(
                f"FaultProxy({self._target_url!r}): expected http://host:port, without TLS"
            )
        self._owner_pid = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aisio.testing.fault_relay"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a notebook must not end it
        )
        self._endpoint = self._call("open", [self._target_url, self._separate_targets])

    def stop(self) -> None:
        """End the proxy and all its connections; in a forked process this does nothing."""
        process = self._process
        if process is None or os.getpid() != self._owner_pid:
            return
        self._process = None
        process.kill()
        process.wait(_STOP_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def add(
        self,
        fault: Fault,
        *,
        method: str = "*",
        path: str = "*",
        skip: int = 0,
        times: int | None = 1,
    ) -> None:
        """Add a rule: a fault for later requests. The first rule that matches a request applies.

        Args:
            fault: The fault.
            method: HTTP method; "*" for any.
            path: Shell pattern of the path, percent-encoded as on the wire, without the query ("*"
                matches slashes too).
            skip: Number of matching requests to forward first.
            times: Number of requests that get the fault before the rule ends; None for all.
        """
        self._call("add", Rule(fault, method, path, skip, times))

    def clear(self) -> None:
        """Remove all rules, and the refusals of a Restart; faults in progress go on."""
        self._call("clear")

    def release(self) -> None:
        """Continue the responses that stall now; they are complete and correct."""
        self._call("release")

    def take_down(self) -> None:
        """Break all connections and refuse new ones until `bring_up()`."""
        self._call("down")

    def bring_up(self) -> None:
        """Accept connections again, at the same endpoint."""
        self._call("up")

    @property
    def requests(self) -> list[SeenRequest]:
        """All requests so far, in order of arrival; a redirected one is there for each node."""
        return msgspec.convert(self._call("requests"), list[SeenRequest])

    @property
    def connections(self) -> int:
        """How many connections were accepted so far, those that a Restart broke included."""
        return int(self._call("connections"))

    @property
    def nodes(self) -> dict[str, str]:
        """The proxy's endpoint for each server so far, keyed as `SeenRequest.node`."""
        return dict(self._call("nodes"))

    def _call(self, command: str, argument: Any = None) -> Any:
        process = self._process
        if process is None or os.getpid() != self._owner_pid:
            raise ConfigError("FaultProxy: it runs only inside its with block, in that process")
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            process.stdin.write(msgspec.json.encode([command, argument]) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        if not line:
            raise ConfigError(f"FaultProxy: its process ended with status {process.wait()}")
        failure, result = msgspec.json.decode(line)
        if failure:
            raise ConfigError(f"FaultProxy: {failure}")
        return result
