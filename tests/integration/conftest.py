"""Where these tests run: on the cluster at AIS_ENDPOINT, else on the embedded gateway."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from aisio.client.client import Bucket, Client
from aisio.gateway import Gateway


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a live cluster, or of a gateway over an empty folder."""
    if live := os.environ.get("AIS_ENDPOINT"):
        yield live
        return
    pytest.importorskip("aiohttp", reason="the gateway needs aiohttp")
    with Gateway(tmp_path_factory.mktemp("buckets")) as gateway:
        yield gateway.endpoint


@pytest.fixture(scope="session")
def client(endpoint: str) -> Iterator[Client]:
    """Return our client."""
    client = Client(endpoint)
    yield client
    client.close()


@pytest.fixture(scope="session")
def sdk_client(endpoint: str) -> Any:
    """Return the official client, which must agree with ours."""
    return pytest.importorskip("aistore").Client(endpoint)


@pytest.fixture
def bucket(client: Client) -> Iterator[Bucket]:
    """Return a new bucket, which is destroyed afterwards."""
    bucket = client.bucket(f"aisio-test-{uuid.uuid4().hex[:12]}").create()
    yield bucket
    bucket.delete(missing_ok=True)
