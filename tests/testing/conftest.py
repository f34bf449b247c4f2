"""What the tests of the fault proxy share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aisio.testing.fault_proxy import FaultProxy
from tests.origin_server import Visitor, serving


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Return a proxy in front of an Origin."""
    with serving() as url, FaultProxy(url) as proxy:
        yield proxy


@pytest.fixture
def connect() -> Iterator[Visitor]:
    """Return a function that opens connections, which are closed after the test."""
    with Visitor() as visitor:
        yield visitor
