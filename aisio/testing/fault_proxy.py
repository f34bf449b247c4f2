"""FaultProxy: a proxy that breaks things on cue, to see what a training job makes of it.

It stands between a client and an AIStore cluster (or gateway, or any plain http server), passes
everything through, and does to chosen requests what networks and servers do on bad days:

    with FaultProxy("http://127.0.0.1:8080") as proxy:
        proxy.add(Cut(after_bytes=100_000), method="GET", path="/v1/objects/shards/*", times=2)
        proxy.add(Status(503, retry_after_s=1), path="/v1/objects/*", skip=10)
        train(aisio.Client(proxy.endpoint))
        assert [request.fault for request in proxy.requests if request.fault] == [...]

Redirects and cluster maps that name other nodes are rewritten to further ports of the proxy, one
for each node, so that what goes straight to a target goes through it as well.

It runs in a process of its own: DataLoader workers may fork at any time, and a connection that the
proxy breaks is broken, whoever inherited what. The faults are counted, not timed: with the same
requests in the same order the same ones fail.

Source:
    RFC 9112 (HTTP/1.1) for what is passed on. TLS is not spoken.
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
"""Ends the name of the node that is the target's part of a server which is a proxy as well."""

_STOP_S = 10.0


class Cut(msgspec.Struct, frozen=True, tag=True):
    """End the connection inside the body of the reply.

    Attributes:
        after_bytes: Bytes of the body that are sent before.
        reset: End it by RST, as a crash does, not by FIN. The last bytes may then be lost too.
    """

    after_bytes: int
    reset: bool = False


class Corrupt(msgspec.Struct, frozen=True, tag=True):
    """Invert one byte of the body; length and headers stay right.

    Attributes:
        at_byte: Which one, counted from 0.
    """

    at_byte: int


class Stall(msgspec.Struct, frozen=True, tag=True):
    """Go silent inside the body, with the connection open, until `release()`.

    Attributes:
        after_bytes: Bytes of the body that are sent before; None holds back the status line too.
    """

    after_bytes: int | None = None


class Refuse(msgspec.Struct, frozen=True, tag=True):
    """Take the request and close the connection without an answer; the server never sees it.

    Attributes:
        reset: Close it by RST, not by FIN.
    """

    reset: bool = True


class Status(msgspec.Struct, frozen=True, tag=True):
    """Answer with an error of the proxy's own; the server never sees the request.

    Attributes:
        status: Such as 429 or 503.
        retry_after_s: Value of the Retry-After header; None for no such header.
    """

    status: int
    retry_after_s: int | None = None


class Restart(msgspec.Struct, frozen=True, tag=True):
    """Do as a node that restarts: break all its connections, and then refuse new ones for a while.

    Attributes:
        refused_connections: How many are broken as soon as they are made.
    """

    refused_connections: int = 1


class Trickle(msgspec.Struct, frozen=True, tag=True):
    """Send the body in small pieces.

    Attributes:
        piece_bytes: Size of each.
        pause_s: Wait between two, in seconds.
    """

    piece_bytes: int = 1
    pause_s: float = 0.0005


class Misroute(msgspec.Struct, frozen=True, tag=True):
    """Send the reply that belongs to another request, with its own headers.

    Attributes:
        target: Path and query of that request; "" for the last one of the same method, to the same
            node, that had another path. While there is none, the rule waits.
    """

    target: str = ""


Fault: TypeAlias = Cut | Corrupt | Stall | Refuse | Status | Restart | Trickle | Misroute


class Rule(msgspec.Struct, frozen=True):
    """Which requests get which fault; made by `FaultProxy.add`."""

    fault: Fault
    method: str = "*"
    path: str = "*"
    skip: int = 0
    times: int | None = 1


class SeenRequest(msgspec.Struct):
    """A request that came to the proxy.

    Attributes:
        method: HTTP method.
        target: Path and query, as sent.
        headers: By lowercase name; of a repeated one, the values joined by ", ".
        node: The server it was meant for, such as "http://127.0.0.1:8081"; with "#target" behind it
            where it came by the port that `separate_targets` gives it.
        fault: Name of the fault it got, such as "Cut"; "" for none.
        status: Status of the answer; 0 while there is none.
        sent_bytes: Bytes of the answer's body that were sent so far.
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

    Any thread of the process that started it may use it; forked workers know its `endpoint`.

    Args:
        target_url: Base URL of the server, such as "http://127.0.0.1:8080".
        separate_targets: Give a target that is at its proxy's address, as a gateway's, a port of
            its own: clients then go straight to it, and to the proxy where that fails.
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
        """Where clients are to connect instead, such as "http://127.0.0.1:40123"."""
        return self._endpoint

    def start(self) -> None:
        """Start the proxy; it passes everything through until told otherwise.

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
            start_new_session=True,  # Ctrl-C is for the notebook
        )
        self._endpoint = self._tell("open", [self._target_url, self._separate_targets])

    def stop(self) -> None:
        """End the proxy and with it all connections; in a forked process this does nothing."""
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
        """Give a fault to requests to come; of several rules that fit one, the first added is it.

        Args:
            fault: What to do.
            method: HTTP method; "*" for any.
            path: Shell pattern of the path, percent-encoded as on the wire, without the query ("*"
                matches slashes too).
            skip: Let this many fitting requests pass first.
            times: How many get it before the rule is gone; None for all.
        """
        self._tell("add", Rule(fault, method, path, skip, times))

    def clear(self) -> None:
        """Forget all rules, and refuse no more for a Restart; faults under way go on."""
        self._tell("clear")

    def release(self) -> None:
        """Let the replies that stall now go on, whole and correct."""
        self._tell("release")

    def take_down(self) -> None:
        """Break all connections and stop listening: new ones are refused until `bring_up()`."""
        self._tell("down")

    def bring_up(self) -> None:
        """Listen again, at the same endpoint."""
        self._tell("up")

    @property
    def requests(self) -> list[SeenRequest]:
        """All requests so far, in the order in which they came, redirected ones for each node."""
        return msgspec.convert(self._tell("requests"), list[SeenRequest])

    @property
    def connections(self) -> int:
        """How many connections were made so far, the refused ones of a Restart included."""
        return int(self._tell("connections"))

    @property
    def nodes(self) -> dict[str, str]:
        """The proxy's endpoint for each server that it stands in front of so far; see `node`."""
        return dict(self._tell("nodes"))

    def _tell(self, command: str, argument: Any = None) -> Any:
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
