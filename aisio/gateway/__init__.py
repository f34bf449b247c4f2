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

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.gateway.options import PROMOTE_ROOT, ServerOptions

__all__ = ["Gateway", "ServerOptions", "serve"]

_STOP_S = 10.0


def serve(options: ServerOptions, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve a folder until SIGINT or SIGTERM.

    Args:
        options: What to serve, and how.
        ready: Called with the endpoint ("http://127.0.0.1:8080") once connections are accepted;
            None prints it as a line on stdout.

    Raises:
        ConfigError: The folder, address, certificate, token or key cannot be used.
        MissingExtraError: aiohttp is not installed, or cryptography for signed redirects.
    """
    _require_aiohttp()
    from aisio.gateway.server import print_endpoint, run

    run(options, ready=ready or print_endpoint)


class Gateway:
    """A gateway in a separate process, which ends with the `with` block or with its parent process.

    Args:
        folder: What to serve: its folders are buckets, the files below these are objects.
        token: Bearer token that every request except health checks must carry; None for none.
        read_only: Refuse changes, and write nothing into the folder.
        host: Address to listen at.
        port: Port to listen at; 0 takes any free one, which stays the same after `restart`.
        verbose: Log each request; see `read_log`.
        tls_cert: PEM file of the certificate to serve https with; None serves http.
        tls_key: PEM file of its private key; None if the certificate's file holds it.
        promote_root: The folder below which files can be promoted to objects.
        tls_client_ca: PEM file of authorities: each client must have a certificate of one of them.
        jwt_key: Key that AuthN signs its tokens with; such tokens are demanded, and may expire.
        signed_redirects: Serve objects only to requests that the gateway has redirected and signed.
        s3_access_key: Access key that requests below /s3 must be signed with; None accepts all.
        s3_secret_key: Its secret key.
    """

    # One argument for each of ServerOptions: the fields of the command `aisio serve`.
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
        tls_client_ca: str | None = None,
        jwt_key: str | None = None,
        signed_redirects: bool = False,
        s3_access_key: str | None = None,
        s3_secret_key: str | None = None,
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
            tls_client_ca=tls_client_ca,
            jwt_key=jwt_key,
            signed_redirects=signed_redirects,
            s3_access_key=s3_access_key,
            s3_secret_key=s3_secret_key,
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
        """The address it listens at, such as "http://127.0.0.1:8080"; "" before it has started."""
        return self._endpoint

    @property
    def s3_endpoint(self) -> str:
        """The address of its S3 API, such as "http://127.0.0.1:8080/s3"; "" before it starts."""
        return f"{self._endpoint}/s3" if self._endpoint else ""

    @property
    def folder(self) -> pathlib.Path:
        """The served folder."""
        return pathlib.Path(self._options.folder)

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs; None otherwise."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            ConfigError: It cannot start; the text is what the server wrote to stderr.
            MissingExtraError: aiohttp is not installed.
        """
        if self._process is not None:
            raise ConfigError(f"the gateway over {self._options.folder} is already running")
        _require_aiohttp()
        # The log is not a pipe: a full one would block the server.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in _end
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aisio.gateway"],
            cwd=pathlib.Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C in a notebook must not stop the server
        )
        self._owner_pid = os.getpid()
        settings = {"options": asdict(self._options), "parent_pid": self._owner_pid}
        try:
            self._endpoint = self._exchange_lines(msgspec.json.encode(settings).decode())
        except BaseException:
            self.stop()
            raise
        self._options = replace(self._options, port=urlsplit(self._endpoint).port or 0)

    def stop(self) -> None:
        """Stop the server by SIGTERM; requests in flight get a few seconds to finish.

        In a forked child of the process that started it, this does nothing.
        """
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """Kill the server by SIGKILL, as `kill -9` does."""
        self._end(subprocess.Popen.kill)

    def restart(self) -> None:
        """Stop the server if it is running, and start it again on the same port."""
        self.stop()
        self.start()

    def read_log(self) -> str:
        """Return what the running server has written to stderr so far."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()

    def _exchange_lines(self, settings: str) -> str:
        """Send the settings to the server's stdin; return the endpoint from its stdout."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(settings + "\n")
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

    def _end(self, signal: Callable[[subprocess.Popen[str]], None]) -> None:
        process = self._process
        if process is None or os.getpid() != self._owner_pid:
            return
        self._process = None
        signal(process)
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
        raise missing_extra("aiohttp", "gateway")


def __dir__() -> list[str]:
    return sorted(__all__)
