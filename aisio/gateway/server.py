"""The server's process: listens, reports its endpoint, and stops on signals."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import replace

from aisio.errors import ConfigError
from aisio.freed_memory import keep_freed_memory
from aisio.gateway.app import App
from aisio.gateway.http.access import Tokens
from aisio.gateway.http.connections import BACKLOG, BoundedServer, max_connections
from aisio.gateway.logs import OneLineFormatter, RecentLog
from aisio.gateway.options import ServerOptions
from aisio.gateway.s3.signatures import Keys
from aisio.gateway.storage.folder import Folder
from aisio.records import is_sendable_token

GRACE_S = 5.0
"""How long a stopping gateway waits for requests in flight, in seconds."""

_SHUTDOWN_S = 1.0
_PARENT_CHECK_S = 0.5
_IDLE_CHECK_S = 5.0
_MAX_LINE_BYTES = 32 << 10
_READ_BUFFER_BYTES = 1 << 20
_log = logging.getLogger(__name__)


def run(
    options: ServerOptions, *, ready: Callable[[str], None], parent_pid: int | None = None
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        options: What to serve, and how.
        ready: Called with the endpoint once connections are accepted.
        parent_pid: Also stop when this process is no longer the parent; None for never.

    Raises:
        ConfigError: The folder, address, certificate or token cannot be used.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter("%(message)s"))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, handlers=[handler]
    )
    if not options.verbose:
        # aiohttp logs clients that do not speak HTTP. App logs the gateway's own errors.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    options = replace(options, token=_checked_token(options.token))
    if options.jwt_key is not None and not options.jwt_key:
        raise ConfigError("the key that AuthN signs its tokens with is empty")
    keep_freed_memory()  # for the next piece of an archive
    keys = _s3_keys(options)
    folder, recent = Folder(options.folder, read_only=options.read_only), RecentLog()
    make_app = functools.partial(
        App,
        folder,
        tokens=Tokens(options.token, options.jwt_key),
        promote_root=options.promote_root,
        s3_keys=keys,
        log=recent,
    )
    package_log = logging.getLogger(__package__)
    package_log.addHandler(recent)
    try:
        folder.open()
        asyncio.run(_serve(options, make_app, folder, ready, parent_pid))
    finally:
        folder.close()
        package_log.removeHandler(recent)


async def _serve(
    options: ServerOptions,
    make_app: Callable[..., App],
    folder: Folder,
    ready: Callable[[str], None],
    parent_pid: int | None,
) -> None:
    tls = _tls_context(options)
    listeners = await _listen(options)
    target_port = None
    if options.signed_redirects:
        target_listeners = await _listen(replace(options, port=0))
        target_port = target_listeners[0].getsockname()[1]
        listeners += target_listeners
    app = make_app(target_port=target_port)
    server = _make_server(app)
    # Before the endpoint is reported: whoever knows it may stop the gateway at once.
    stop = _stop_on_signals()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(server.accept(listener, tls)) for listener in listeners]
    tasks.append(loop.create_task(_close_idle_connections(server)))
    try:
        ready(_endpoint(listeners[0].getsockname(), "https" if tls else "http"))
        await _wait_for_stop(stop, parent_pid)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for listener in listeners:
            listener.close()
        await app.drain(GRACE_S)
        folder.stopping.set()
        server.pre_shutdown()
        await server.shutdown(_SHUTDOWN_S)
        app.close()


def _make_server(app: App) -> BoundedServer:
    return BoundedServer(
        app,
        limit=max_connections(),
        access_log=None,
        # Content-Encoding belongs to the client: an object is stored as it was sent.
        auto_decompress=False,
        # responses.respond_early() reads the bodies that no handler has read.
        lingering_time=0,
        max_line_size=_MAX_LINE_BYTES,
        read_bufsize=_READ_BUFFER_BYTES,
    )


async def _listen(options: ServerOptions) -> list[socket.socket]:
    """Return sockets that listen at all addresses of the host, at the same port.

    asyncio resolves the host and binds the sockets; BoundedServer accepts the connections.
    """
    loop = asyncio.get_running_loop()
    try:
        bound = await loop.create_server(
            asyncio.Protocol, options.host, options.port, start_serving=False
        )
        listeners = [listener.dup() for listener in bound.sockets]
        bound.close()
        for listener in listeners:
            listener.setblocking(False)
            listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:  # UnicodeError: the host is not a host name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen at {options.host}:{options.port}: {reason}") from error
    ports = [listener.getsockname()[1] for listener in listeners]
    if len(set(ports)) == 1:
        return listeners
    # For port 0 the system chooses one for IPv4 and another for IPv6.
    for listener in listeners:
        listener.close()
    return await _listen(replace(options, port=ports[0]))


async def _close_idle_connections(server: BoundedServer) -> None:
    while True:
        await asyncio.sleep(_IDLE_CHECK_S)
        server.close_idle()


def _stop_on_signals() -> asyncio.Event:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _wait_for_stop(stop: asyncio.Event, parent_pid: int | None) -> None:
    while parent_pid is not None and os.getppid() == parent_pid and not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK_S)
    if parent_pid is None:
        await stop.wait()


def _checked_token(token: str | None) -> str | None:
    """Return the token as clients send it, without whitespace around it.

    Raises:
        ConfigError: It cannot be sent in a header.
    """
    token = token if token is None else token.strip()
    if token is not None and not is_sendable_token(token):
        raise ConfigError(
            "no client can send the gateway's token: it is empty, or has whitespace or non-ASCII "
            "characters in it"
        )
    return token


def _s3_keys(options: ServerOptions) -> Keys | None:
    """Return the keys of S3 requests; None for none.

    Raises:
        ConfigError: One of them is missing or empty.
    """
    access_key, secret_key = options.s3_access_key, options.s3_secret_key
    if access_key is None and secret_key is None:
        return None
    if not access_key or not secret_key:
        raise ConfigError("S3 requests are signed with an access key and a secret key: give both")
    if not (access_key.isascii() and access_key.isprintable() and "/" not in access_key):
        raise ConfigError("no client can send the S3 access key: it needs ASCII without slashes")
    if options.token is None:
        _log.warning("S3 keys protect /s3 only: set a token as well, to protect /v1")
    return Keys(access_key, secret_key)


def _tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        if options.tls_client_ca is not None:
            raise ConfigError("certificates of clients are a matter of https: give a tls_cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"certificate {options.tls_cert}: {error}") from error
    if options.tls_client_ca is not None:
        try:
            context.load_verify_locations(options.tls_client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"authorities {options.tls_client_ca}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _endpoint(address: tuple[str, int], scheme: str) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"


def print_endpoint(endpoint: str) -> None:
    """Print the endpoint on a line of its own, for the process that started the gateway."""
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
