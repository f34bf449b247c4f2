"""One gateway for all tests of this folder, and a fresh bucket in it for each."""

from __future__ import annotations

import builtins
import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3.util.retry import Retry

from aisio.gateway import Gateway

collect_ignore_glob = [] if importlib.util.find_spec("aiohttp") else ["test_*.py"]
_numbers = itertools.count(1)


@dataclass
class Served:
    """A bucket: its name, its folder, and requests about it."""

    endpoint: str
    name: str
    folder: Path
    http: requests.Session

    def url(self, name: str, query: str = "") -> str:
        return f"{self.endpoint}/v1/objects/{self.name}/{name}{query}"

    def put(self, name: str, data: bytes, **headers: str) -> requests.Response:
        return self.http.put(self.url(name), data=data, headers=headers)

    def get(self, name: str, query: str = "", **headers: str) -> requests.Response:
        return self.http.get(self.url(name, query), headers=headers)

    def action(
        self, method: str, name: str, value: Any = None, query: str = ""
    ) -> requests.Response:
        body = {"action": name, "name": "", "value": value}
        url = f"{self.endpoint}/v1/buckets/{self.name}{query}"
        return self.http.request(method, url, json=body)

    def job(self, method: str, name: str, value: Any = None, query: str = "") -> dict[str, Any]:
        """Start a job, and return its snapshot when it has ended."""
        response = self.action(method, name, value, query)
        assert response.status_code == 200, response.text
        return self.wait(response.text)

    def wait(self, job_id: str) -> dict[str, Any]:
        """Return a job's snapshot when it has ended."""
        while True:
            (snap,) = next(iter(self.jobs("qryxstats", ID=job_id).json().values()))
            if snap["is_idle"]:
                assert isinstance(snap, dict)
                return snap

    def jobs(self, what: str, **message: Any) -> requests.Response:
        url = f"{self.endpoint}/v1/cluster?what={what}"
        return self.http.get(url, json=message)

    def list(self, accept: str = "application/json", **message: Any) -> requests.Response:
        body = {"action": "list", "name": "", "value": {"prefix": "", **message}}
        url = f"{self.endpoint}/v1/buckets/{self.name}"
        return self.http.get(url, json=body, headers={"Accept": accept})

    def names(self, **message: Any) -> builtins.list[str]:
        response = self.list(**message)
        assert response.status_code == 200, response.text
        return [entry["name"] for entry in response.json()["entries"] or []]


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the shared gateway serves."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="session")
def gateway(served_folder: Path) -> Iterator[Gateway]:
    """Run the shared gateway; at the end its log must not hold a traceback."""
    with Gateway(served_folder) as gateway:
        yield gateway
        assert "Traceback" not in gateway.read_log()


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    """Return a session that ignores the environment's proxies."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def bucket(gateway: Gateway, served_folder: Path, http: requests.Session) -> Served:
    """Return a new, empty bucket."""
    name = f"bucket-{next(_numbers)}"
    (served_folder / name).mkdir()
    return Served(gateway.endpoint, name, served_folder / name, http)


@pytest.fixture(scope="session")
def client(gateway: Gateway) -> Any:
    """Return the official client without retries: it would retry a 404 for a minute."""
    aistore = pytest.importorskip("aistore.sdk")
    tenacity = pytest.importorskip("tenacity")
    config = pytest.importorskip("aistore.sdk.retry_config")
    once = tenacity.Retrying(stop=tenacity.stop_after_attempt(1), reraise=True)
    retry = config.RetryConfig(http_retry=Retry(total=0), network_retry=once)
    return aistore.Client(gateway.endpoint, retry_config=retry)


@pytest.fixture
def sdk(client: Any) -> Iterator[Any]:
    """Return a bucket made by the official client."""
    bucket = client.bucket(f"official-{next(_numbers)}")
    bucket.create()
    yield bucket
    bucket.delete(missing_ok=True)
