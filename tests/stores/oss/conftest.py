"""A server that checks OSS's signatures, for the tests of this folder."""

from __future__ import annotations

from itertools import count

import pytest

from aisio.urls import ObjectUrl
from tests.oss_server import oss_server

_numbers = count()


@pytest.fixture(scope="session")
def server():
    """Return a server in a process of its own."""
    pytest.importorskip("moto")
    pytest.importorskip("alibabacloud_oss_v2")
    with oss_server() as server:
        yield server


@pytest.fixture
def bucket(server):
    """Return the URL of a new bucket; what it took to make it is not in the log."""
    name = f"bucket-{next(_numbers)}"
    server.create(name)
    server.take_log()
    return ObjectUrl.parse(f"oss://{name}")
