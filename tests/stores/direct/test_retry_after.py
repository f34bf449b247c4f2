"""Retry-After, which obstore does not show: how busy servers are probed for it."""

from __future__ import annotations

import pytest

from aisio.errors import (
    UnavailableError,
)
from aisio.records import RetryPolicy, TlsFiles
from aisio.stores import DirectStore
from aisio.stores.direct.retry_after import RetryAfterProbe
from tests.http_server import Reply, Server
from tests.stores.direct.scripted_s3 import OBJECT, ONCE, settings

pytest.importorskip("obstore")


def test_retry_after_is_obeyed():
    """If it is longer than the retry budget, the store gives up."""
    busy = Reply(503, b"", {"Retry-After": "7200"})
    with Server(*[busy] * 2) as server:
        with pytest.raises(UnavailableError, match="503") as caught:
            DirectStore(settings(server.url, RetryPolicy(attempts=9, total_s=60))).get(OBJECT)
        assert caught.value.retry_after_s == 7200
        assert [request.method for request in server.requests] == ["GET", "HEAD"]
        assert server.requests[1].headers["Authorization"] is None


def test_a_signature_in_a_query_is_not_sent_again():
    """Azure's SAS tokens are credentials in the URL."""
    with Server(Reply(503, b"", {"Retry-After": "7"})) as server:
        assert RetryAfterProbe(TlsFiles()).wait_s(f"{server.url}/c/o?sv=1&sig=secret") == 7
        assert server.requests[0].target == "/c/o"


def test_a_slow_head_does_not_hold_the_probe():
    """Then the retry policy alone says how long to wait."""
    head = {f"X-{number}": "x" * 1000 for number in range(90)}
    with Server(Reply(503, b"", {"Retry-After": "7", **head})) as server:
        assert RetryAfterProbe(TlsFiles(), head_s=1e-9).wait_s(f"{server.url}/o") is None


def test_a_server_without_retry_after_is_probed_once():
    """That costs one request in the life of a store."""
    busy = Reply(503)
    with Server(*[busy] * 9) as server:
        store = DirectStore(settings(server.url, ONCE))
        for _ in range(3):
            with pytest.raises(UnavailableError):
                store.get(OBJECT)
        assert [request.method for request in server.requests] == ["GET", "HEAD", "GET", "GET"]
