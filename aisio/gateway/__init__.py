"""The embedded default: an AIStore-compatible server over a local folder.

Folders are buckets, files are objects. `serve` runs it in this process until it is stopped;
`Gateway` runs it in a process of its own, for tests and notebooks:

    with Gateway("/data") as gateway:
        client = aisio.Client(gateway.endpoint)
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

import msgspec

from aisio.errors import ConfigError, MissingExtraError
from aisio.gateway.options import PROMOTE_ROOT, ServerOptions

__all__ = ["Gateway", "ServerOptions", "serve"]

_STOP_S = 10.0


def serve(options: ServerOptions, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve a folder until SIGINT or SIGTERM.

    Args:
        options: What and how.
        ready: Called with the endpoint ("http://127.0.0.1:8080") once connections are accepted;
            None prints it as a line on stdout.

    Raises:
        ConfigError: The folder, address, certificate or token cannot be used.
        MissingExtraError: aiohttp is not installed.
    """
    _require_aiohttp()
    from aisio.gateway.server import print_endpoint, run

    run(options, ready=ready or print_endpoint)


class Gateway:
    """A gateway in a process of its own; it ends with the `with` block, or with its parent.

    Args:
        folder: What to serve: its folders are buckets, the files below these are objects.
        token: Bearer token that every request but health checks must carry; None for none.
        read_only: Refuse changes, and leave no trace in the folder.
        host: Address to listen at.
        port: Port to listen at; 0 takes any free one, which stays the same over `restart`.
        verbose: Log each request; see `read_log`.
        tls_cert: PEM file of the certificate to serve https with; None serves http.
        tls_key: PEM file of its private key; None where the certificate's file holds it.
        promote_root: The folder below which files can be promoted to objects.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        token: str | None = None,
        read_only: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        verbose: bool = False,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        promote_root: str | os.PathLike[str] = PROMOTE_ROOT,
    ) -> None:
        path = str(pathlib.Path(folder).absolute())
        self._options = ServerOptions(
            path,
            host,
            port,
            token,
            read_only,
            verbose,
            tls_cert,
            tls_key,
            str(pathlib.Path(promote_root).absolute()),
        )
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None
        self._owner_pid = 0
        self._endpoint = ""

    def __enter__(self) -> Gateway:
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
        """Where it listens, such as "http://127.0.0.1:8080"; "" before it has started."""
        return self._endpoint

    @property
    def folder(self) -> pathlib.Path:
        """What is served."""
        return pathlib.Path(self._options.folder)

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            ConfigError: It cannot start; the text is what it said.
            MissingExtraError: aiohttp is not installed.
        """
        if self._process is not None:
            raise ConfigError(f"the gateway over {self._options.folder} runs already")
        _require_aiohttp()
        # Not a pipe: a full one would stop the server. Not in this session: Ctrl-C is for the
        # notebook.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in _end
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aisio.gateway"],
            cwd=pathlib.Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self._owner_pid = os.getpid()
        told = msgspec.json.encode(
            {"options": asdict(self._options), "parent_pid": self._owner_pid}
        )
        try:
            self._endpoint = self._first_line(told.decode())
        except BaseException:
            self.stop()
            raise
        self._options = replace(self._options, port=urlsplit(self._endpoint).port or 0)

    def stop(self) -> None:
        """End the server as SIGTERM does: requests that are under way get a few seconds.

        In a process forked from the one that started it this does nothing.
        """
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """End the server as `kill -9` or a crash does."""
        self._end(subprocess.Popen.kill)

    def restart(self) -> None:
        """Stop the server if it runs, and start it again on the same port."""
        self.stop()
        self.start()

    def read_log(self) -> str:
        """Return what the running server has written to stderr."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()

    def _first_line(self, told: str) -> str:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(told + "\n")
            process.stdin.close()
        except BrokenPipeError:
            pass
        line = process.stdout.readline().strip()
        if not line:
            process.wait()
            raise ConfigError(
                f"the gateway over {self._options.folder} did not start: {self.read_log().strip()}"
            )
        return line

    def _end(self, how: Callable[[subprocess.Popen[str]], None]) -> None:
        process = self._process
        if process is None or os.getpid() != self._owner_pid:
            return
        self._process = None
        how(process)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        if self._log is not None:
            self._log.close()
            self._log = None


def _require_aiohttp() -> None:
    if importlib.util.find_spec("aiohttp") is None:
        raise MissingExtraError("the gateway needs aiohttp: pip install 'aisio[gateway]'")
