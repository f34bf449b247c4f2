"""A file system over the cluster at AIS_ENDPOINT, else over the embedded gateway.

The bucket `data` of the cluster must not exist; it is deleted after each test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import aiohttp  # noqa: F401 - the gateway needs it
import pytest

from aisio import Bucket, Client
from aisio.gateway import Gateway


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the endpoint of a live cluster, or of a gateway."""
    if live := os.environ.get("AIS_ENDPOINT"):
        yield live
        return
    with Gateway(tmp_path_factory.mktemp("served")) as gateway:
        yield gateway.endpoint


@pytest.fixture
def bucket(cluster: str) -> Iterator[Bucket]:
    """Return a bucket without objects."""
    bucket = Client(cluster).bucket("data").create()
    yield bucket
    bucket.delete()


@pytest.fixture
def fs(bucket: Bucket, cluster: str) -> Any:
    """Return the file system of the cluster."""
    from aisio.integrations.fsspec import AisFileSystem

    return AisFileSystem(endpoint=cluster)
