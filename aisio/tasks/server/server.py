"""The server's process: listens, reports its URL, and stops on signals."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from aisio.config import base_url
from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.tasks.server.access import Access
from aisio.tasks.service import TaskService
from aisio.tasks.settings import TaskSettings, load_task_settings

try:
    from aiohttp import web
except ImportError:
    raise missing_extra("aiohttp", "gateway") from None

from aisio.tasks.server.app import App

__all__ = ["PASSWORD_FILE", "ServerOptions", "TaskServer", "serve"]

PASSWORD_FILE = "server.password"  # noqa: S105 - the name of a file
"""The file in the home folder with the password that was made up, readable by its owner alone."""

_GRACE_S = 5.0
_OWNER_ONLY = 0o600


@dataclass(frozen=True)
class ServerOptions:
    """How to serve tasks.

    Attributes:
        settings: Where tasks are, and whose; its password is the one that clients log in with.
            Without one, it is made up and kept in the home folder.
        host: Address to listen at; loopback by default.
        port: Port to listen at; 0 takes any free one.
        public_url: Base URL that clients reach the server by, if it is behind another one.
        tls_cert: PEM file of the certificate to serve https with; None serves http.
        tls_key: PEM file of its private key; None if the certificate's file holds it.
    """

    settings: TaskSettings = field(default_factory=load_task_settings)
    host: str = "127.0.0.1"
    port: int = 8090
    public_url: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None


def serve(
    options: ServerOptions, *, ready: Callable[[str], object], service: TaskService | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. Tasks that run go on without the server.

    Args:
        options: What to serve, and how.
        ready: Called with the server's URL once connections are accepted.
        service: What it offers; by default the one of the settings.

    Raises:
        ConfigError: The address, certificate or home folder cannot be used.
    """
    asyncio.run(_serve(options, ready, service or TaskService(options.settings)))


async def _serve(
    options: ServerOptions, ready: Callable[[str], object], service: TaskService
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await _listen(options, ready, service, stop)


async def _listen(
    options: ServerOptions,
    ready: Callable[[str], object],
    service: TaskService,
    stop: asyncio.Event,
) -> None:
    app = App(
        service,
        Access(options.settings.user, password_of(options.settings)),
        public_url=options.public_url and base_url(options.public_url, "public_url"),
    )
    runner = web.AppRunner(app.application(), access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    try:
        tls = _tls_context(options)
        try:
            await web.TCPSite(runner, options.host, options.port, ssl_context=tls).start()
        except (OSError, UnicodeError) as error:  # UnicodeError: the host is not a host name
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"cannot listen at {options.host}:{options.port}: {reason}"
            ) from error
        app.resume()
        host, port = runner.addresses[0][:2]
        ready(f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}")
        await stop.wait()
    finally:
        await runner.cleanup()
        app.close()


def password_of(settings: TaskSettings) -> str:
    """Return the password that clients log in with; it is made up if none is set.

    Raises:
        ConfigError: The file that holds it is empty or can be read by others.
    """
    if settings.password:
        return settings.password
    path = settings.home / PASSWORD_FILE
    if not path.exists():
        _create_password(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"other users may read {path}: run chmod 600 {path}")
    password = path.read_text("utf-8").strip()
    if not password:
        raise ConfigError(f"{path} is empty: delete it, and a new password is made up")
    return password


def _create_password(path: Path) -> None:
    """Make a password up; of several processes one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(new, flags, _OWNER_ONLY), "w", encoding="utf-8") as file:
            file.write(f"{secrets.token_urlsafe(24)}\n")
        try:
            os.link(new, path)
        except FileExistsError:
            return
    finally:
        new.unlink(missing_ok=True)


def _tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"certificate {options.tls_cert}: {error}") from error
    return context


class TaskServer:
    """A server in a thread of this process, for tests and notebooks.

    Args:
        options: What to serve, and how.
        service: What it offers; by default the one of the settings.

    Attributes:
        options: The same.
        service: The same.
        url: Its base URL, while it runs.
    """

    def __init__(self, options: ServerOptions, *, service: TaskService | None = None) -> None:
        self.options = options
        self.service = service or TaskService(options.settings)
        self.url = ""
        self._error: BaseException | None = None
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> TaskServer:
        self._thread = threading.Thread(target=self._run, name="aisio-tasks-server", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
            logging.getLogger(__name__).debug("the server has ended", exc_info=True)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await _listen(self.options, self._ready, self.service, self._stop)

    def _ready(self, url: str) -> None:
        self.url = url
        self._started.set()
