"""Headers of requests: who asks, and by what right."""

from __future__ import annotations

from aisio.client.request_headers import NODE_HEADERS, endpoint_headers
from aisio.records import Settings


def test_only_the_endpoint_gets_the_token() -> None:
    """A node that the endpoint names needs none."""
    headers = endpoint_headers(Settings("http://h", token="abc"))
    assert headers == {**NODE_HEADERS, "Authorization": "Bearer abc"}
    assert list(NODE_HEADERS) == ["User-Agent"]


def test_without_a_token_none_is_sent() -> None:
    """An empty one switches off that of the environment."""
    assert endpoint_headers(Settings("http://h")) == NODE_HEADERS
    assert endpoint_headers(Settings("http://h", token="")) == NODE_HEADERS
