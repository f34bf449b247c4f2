"""A gateway for transfers, and trees of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio.client.client import Bucket, Client
from aisio.gateway import Gateway
from aisio.transfer.local_checksums import LocalChecksums


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory) -> Iterator[str]:
    """Return the address of a gateway."""
    with Gateway(tmp_path_factory.mktemp("buckets")) as gateway:
        yield gateway.endpoint


@pytest.fixture
def client(endpoint) -> Client:
    """Return a client of the gateway."""
    return Client(endpoint)


@pytest.fixture
def bucket(client) -> Iterator[Bucket]:
    """Return an empty bucket."""
    bucket = client.bucket("transfers").create()
    yield bucket
    bucket.delete()


@pytest.fixture
def checksums(tmp_path) -> LocalChecksums:
    """Return checksums that are remembered in a folder of the test's own."""
    return LocalChecksums(tmp_path / "cache")


@pytest.fixture
def files(tmp_path) -> Callable[..., Path]:
    """Return a function that writes a folder of files."""

    def write(contents: dict[str, bytes], name: str = "files") -> Path:
        for path, data in contents.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return tmp_path / name

    return write
