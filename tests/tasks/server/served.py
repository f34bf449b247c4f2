"""A server over a service in a folder of its own, and a client that speaks plain HTTP to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from aisio.tasks.server import ServerOptions, TaskServer
from aisio.tasks.service import TaskService
from tests.tasks.fake_engine import FakeEngine
from tests.tasks.places import make_service

PASSWORD = "p/a@s:s wörd"
CHUNK_BYTES = 1000


@dataclass
class Served:
    """A server, and a client that is logged in.

    Attributes:
        url: Base URL.
        service: What it offers.
        engine: What runs its tasks.
        token: The client's token; "" for none.
        headers: Further headers of requests.
    """

    url: str
    service: TaskService
    engine: FakeEngine
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, **values: Any) -> requests.Response:
        """Send a request; values go in the query, and for POST and PUT in a form."""
        headers = dict(self.headers)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        place = "data" if method in ("POST", "PUT") else "params"
        arguments: dict[str, Any] = {place: values}
        return requests.request(
            method, f"{self.url}/api/{path}", headers=headers, timeout=60, **arguments
        )

    def call(self, method: str, path: str, **values: Any) -> Any:
        """Send a request that succeeds; return its JSON."""
        response = self.send(method, path, **values)
        assert response.status_code == 200, response.text
        return response.json()

    def login(self) -> None:
        """Log in as the user of the service."""
        reply = self.call("POST", "user/login", username="ada", password=PASSWORD)
        self.token = reply["token"]

    def send_chunk(self, resource_id: str, number: int, data: bytes) -> requests.Response:
        """Upload a chunk."""
        return requests.post(
            f"{self.url}/api/resource/upload",
            headers={"Authorization": f"Bearer {self.token}"},
            data={"file_id": resource_id, "chunk": str(number)},
            files={"file": data},
            timeout=60,
        )

    def upload(self, resource_id: str, data: bytes) -> None:
        """Upload a file in chunks, and wait until it is stored."""
        for number in range(len(data) // CHUNK_BYTES + 1):
            chunk = data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
            assert self.send_chunk(resource_id, number, chunk).status_code == 200
        self.call("POST", "resource/upload_finish", file_id=resource_id)

    def wait_for(self, kind: str, resource_id: str, *states: int) -> dict[str, Any]:
        """Ask about something until it is in one of some states."""
        while True:
            reply: dict[str, Any] = self.call("GET", f"{kind}/query", id=resource_id)[0]
            if reply["state"] in states:
                return reply


@contextmanager
def serve(folder: Path, *, runs: bool = False, **settings: Any) -> Iterator[Served]:
    """Run a server in this process until the block ends."""
    engine = FakeEngine(runs=runs)
    service = make_service(folder, engine, password=PASSWORD, **settings)
    with TaskServer(ServerOptions(service.settings, port=0), service=service) as server:
        yield Served(server.url, service, engine)
