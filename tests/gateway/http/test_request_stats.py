"""RequestStats: which requests count as what."""

from __future__ import annotations

import pytest

from aisio.gateway.http.request_stats import RequestStats


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/objects/b/o?x=/y", "get"),
        ("PUT", "/v1/objects/b/o", "put"),
        ("HEAD", "/v1/objects/b/o", "head"),
        ("DELETE", "/v1/objects/b/o", "del"),
        ("GET", "/v1/buckets/b", "lst"),
        ("GET", "/s3/b/d/o", "get"),
        ("PUT", "/s3/b/o", "put"),
        ("GET", "/s3/b?prefix=a/b", "lst"),
        ("GET", "/s3/b/", "lst"),
        ("PUT", "/s3/b", ""),
        ("GET", "/s3", ""),
        ("POST", "/v1/objects/b/o", ""),
        ("GET", "/v1/health", ""),
    ],
)
def test_kinds(method: str, path: str, name: str) -> None:
    """Of both protocols; what is about no object is not counted."""
    stats = RequestStats()
    for status in (200, 206, 307, 404):
        stats.add(method, path, status, 5, 100)
    counts = {key: value for key, value in stats.snapshot().items() if value}
    expected = {f"{name}.n": 2, f"err.{name}.n": 1} if name else {}
    if name in ("get", "put"):
        expected |= {f"{name}.size": 10, f"{name}.ns.total": 200}
    assert counts == expected


def test_every_count_is_there_from_the_start() -> None:
    """A program that reads them need not ask whether they are."""
    assert RequestStats().snapshot()["err.get.n"] == 0
