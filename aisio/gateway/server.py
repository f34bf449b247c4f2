"""The gateway's process: listens, says where, and stops when told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import replace

from aisio.errors import ConfigError
from aisio.gateway.app import App
from aisio.gateway.http.connections import BACKLOG, BoundedServer, most_connections
from aisio.gateway.logs import OneLineFormatter
from aisio.gateway.options import ServerOptions
from aisio.gateway.storage.folder import Folder
from aisio.records import is_sendable_token

GRACE_S = 5.0
"""How long a stopping gateway waits for requests that are under way."""

_LAST_WORDS_S = 1.0
_PARENT_CHECK_S = 0.5
_IDLE_CHECK_S = 5.0
_LONGEST_LINE = 32 << 10
_READ_BYTES = 1 << 20


def run(
    options: ServerOptions, *, ready: Callable[[str], None], parent_pid: int | None = None
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        options: What and how.
        ready: Called with the endpoint once connections are accepted.
        parent_pid: Stop as well when this process is no longer the parent; None for no such tie.

    Raises:
        ConfigError: The folder, address, certificate or token cannot be used.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter("%(message)s"))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, handlers=[handler]
    )
    if not options.verbose:
        # It tells of clients that speak no HTTP; what goes wrong inside, App tells itself.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    options = replace(options, token=_demanded(options.token))
    folder = Folder(options.folder, read_only=options.read_only)
    folder.open()
    try:
        asyncio.run(_serve(options, folder, ready, parent_pid))
    finally:
        folder.close()


async def _serve(
    options: ServerOptions, folder: Folder, ready: Callable[[str], None], parent_pid: int | None
) -> None:
    app = App(folder, token=options.token, promote_root=options.promote_root)
    # Content-Encoding belongs to the client: an object is stored as it was sent. Bodies that nobody
    # reads are dealt with in exchange.answer_early, hence no lingering.
    server = BoundedServer(
        app,
        most=most_connections(),
        access_log=None,
        auto_decompress=False,
        lingering_time=0,
        max_line_size=_LONGEST_LINE,
        read_bufsize=_READ_BYTES,
    )
    tls = _tls_context(options)
    listening = await _listen(options)
    # Before anybody is told where it is: whoever knows may stop it at once.
    stop = _stop_on_signals()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(server.accept(listener, tls)) for listener in listening]
    tasks.append(loop.create_task(_end_idle(server)))
    try:
        ready(_endpoint(listening[0].getsockname(), "https" if tls else "http"))
        await _until(stop, parent_pid)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for listener in listening:
            listener.close()
        await app.drain(GRACE_S)
        folder.stopping.set()
        server.pre_shutdown()
        await server.shutdown(_LAST_WORDS_S)
        app.close()


async def _listen(options: ServerOptions) -> list[socket.socket]:
    """Return sockets that listen at all addresses of the host.

    asyncio finds and binds them; to accept is BoundedServer's.
    """
    loop = asyncio.get_running_loop()
    try:
        bound = await loop.create_server(
            asyncio.Protocol, options.host, options.port, start_serving=False
        )
        listening = [listener.dup() for listener in bound.sockets]
        bound.close()
        for listener in listening:
            listener.setblocking(False)
            listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:  # UnicodeError: the host is no name at all
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen at {options.host}:{options.port}: {reason}") from error
    return listening


async def _end_idle(server: BoundedServer) -> None:
    while True:
        await asyncio.sleep(_IDLE_CHECK_S)
        server.end_idle()


def _stop_on_signals() -> asyncio.Event:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, parent_pid: int | None) -> None:
    while parent_pid is not None and os.getppid() == parent_pid and not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK_S)
    if parent_pid is None:
        await stop.wait()


def _demanded(token: str | None) -> str | None:
    """Return the token as clients send it, without blanks around it."""
    token = token if token is None else token.strip()
    if token is not None and not is_sendable_token(token):
        raise ConfigError(
            "nobody can send the gateway's token: it is empty, or holds blanks or non-ASCII "
            "characters"
        )
    return token


def _tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"certificate {options.tls_cert}: {error}") from error
    return context


def _endpoint(address: tuple[str, int], scheme: str) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"


def print_endpoint(endpoint: str) -> None:
    """Tell whoever started the gateway where it is, on a line of its own."""
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
