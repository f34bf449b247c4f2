"""NVIDIA's registry on loopback, over TLS: strict about the protocol, and wrong when told so.

The registry is https://127.0.0.1:{port}, its storage https://localhost:{port}: another host, to a
client. What the protocol is was seen from ngcsdk 4.37.0, which the tests hold to the same server.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.resources.certificates import Authority
from tests.resources.ngc_answers import Item, Refused, Version, answer

KEY = "nvapi-a-good-key"
OLD_KEY = "an-old-good-key"
_REGISTRYS_HEADERS = ("Authorization", "X-NGC-Guest-Token", "nv-ngc-org", "nv-ngc-team")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        where: A part of the request's target.
        status: Status of the answer instead of the right one; 0 hangs up; None lets it be right.
        body: Of that answer.
        headers: Of that answer; "{other}" stands for the server's other name.
        cut_at: Bytes of the right answer before the server hangs up.
        shift: Bytes that the right answer's range begins too late.
    """

    where: str
    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    shift: int = 0


class Request(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: Message
    body: bytes


class NgcServer(ThreadingHTTPServer):
    """The registry and its storage.

    Attributes:
        items: What there is, by kind, organisation, team ("" for none) and name.
        faults: What is to go wrong: each once, with the first request that it fits.
        requests: All requests so far.
        keys: Keys that are taken as bearer tokens, and tokens that were given.
        old_keys: Keys that the authentication service gives tokens for.
        signatures: Of the presigned URLs that are good now.
        files_a_page: Most files that are listed at a time.
        url: Of the registry and the authentication service.
        storage_url: Of the storage.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, authority: Authority) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.items: dict[tuple[str, str, str, str], Item] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.keys = {KEY}
        self.old_keys = {OLD_KEY}
        self.signatures: set[str] = set()
        self.files_a_page = 1000
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self.storage_url = f"https://localhost:{self.server_address[1]}"
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(authority.certificate, authority.key)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> NgcServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def get_request(self) -> tuple[Any, Any]:
        """Take a connection; the thread that serves it shakes hands."""
        connection, address = super().get_request()
        connection.settimeout(20)
        tls = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return tls, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a client that does not trust the certificate closes the connection."""

    def add(self, target: str, files: Mapping[str, bytes], kind: str = "model") -> Item:
        """Add a version, "org/[team/]name:version", and return its item."""
        place, _, version = target.partition(":")
        org, *team, name = place.split("/")
        item = self.items.setdefault((kind, org, "".join(team), name), Item())
        item.versions[version] = Version(dict(files))
        return item

    def fault_for(self, target: str) -> Fault | None:
        """Return the first fault that fits; it is used up."""
        with self._lock:
            found = next((fault for fault in self.faults if fault.where in target), None)
            if found:
                self.faults.remove(found)
            return found

    def asked(self) -> list[str]:
        """Return the targets of all requests so far, without signatures."""
        return [request.target.partition("?X-")[0] for request in self.requests]


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: NgcServer

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(Request(self.command, self.path, self.headers, body))
        fault = self.server.fault_for(self.path) or Fault("")
        at_storage = self.headers.get("Host", "").startswith("localhost")
        if fault.status is not None:
            self._instead(fault, self.server.url if at_storage else self.server.storage_url)
            return
        try:
            if at_storage:
                self._send_stored(fault)
            else:
                told = answer(self.server, self.path, self.headers, body)
                self._send(200, told, cut_at=fault.cut_at)
        except Refused as refused:
            status, reason = refused.args
            why = {"requestStatus": {"statusCode": "REFUSED", "statusDescription": reason}}
            self._send(status, json.dumps(why).encode())

    do_POST = do_GET

    def _instead(self, fault: Fault, other: str) -> None:
        self.close_connection = not fault.status
        if fault.status:
            headers = {name: text.replace("{other}", other) for name, text in fault.headers.items()}
            self._send(fault.status, fault.body, headers)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        cut_at: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut_at])
        self.close_connection = self.close_connection or cut_at is not None

    def _send_stored(self, fault: Fault) -> None:
        """Send a file, as a store does whose URLs are signed."""
        if any(name in self.headers for name in _REGISTRYS_HEADERS):
            raise Refused(400, "only one way to prove who you are is allowed")
        parts = urlsplit(self.path)
        signature = parse_qs(parts.query).get("X-Amz-Signature", [""])[0]
        if signature not in self.server.signatures:
            raise Refused(403, f"the signature {signature} has expired")
        kind, org, team, name, version, path = map(unquote, parts.path.split("/")[1:])
        data = self.server.items[kind, org, team, name].versions[version].files[path]
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"'}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            self._send(200, data, headers, fault.cut_at)
            return
        start, stop = int(match[1]), min(int(match[2] or len(data)) + 1, len(data))
        if start >= len(data):
            raise Refused(416, "no such range")
        start += fault.shift
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self._send(206, data[start:stop], headers, fault.cut_at)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def registry_for_a_guest(
    authority: Authority, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NgcServer]:
    """Run a registry that the environment names, and take everything else of it away."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
    names = ("NGC_CLI_API_KEY", "NGC_API_KEY", "NGC_APP_KEY", "NGC_CLI_HOME", "NGC_CLI_GUEST_TOKEN")
    for name in (*names, "NGC_CLI_ORG", "NGC_CLI_TEAM"):
        monkeypatch.delenv(name, raising=False)
    with NgcServer(authority) as server:
        monkeypatch.setenv("NGC_CLI_API_URL", server.url)
        monkeypatch.setenv("NGC_CLI_AUTH_URL", server.url)
        yield server
