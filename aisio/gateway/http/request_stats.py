"""RequestStats: how many requests about objects there were, how large, and how long they took."""

from __future__ import annotations

from collections import Counter

_OF_OBJECTS = {"DELETE": "del", "GET": "get", "HEAD": "head", "PUT": "put"}
_WITH_SIZE = frozenset({"get", "put"})


class RequestStats:
    """Counts requests under AIStore's names: `get.n`, `get.size`, `get.ns.total`, `err.get.n`.

    Source: "Target metrics" in docs/metrics-reference.md of AIStore 5.0.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(_names(), 0))

    def add(self, method: str, path: str, status: int, size_bytes: int, elapsed_ns: int) -> None:
        """Count a request.

        Args:
            method: Its HTTP method.
            path: Its path, with or without the query.
            status: Of the response; redirects are not counted, as what they lead to is.
            size_bytes: Of the body that was sent or received.
            elapsed_ns: How long it took, in nanoseconds.
        """
        kind = _kind(method, path)
        if not kind or 300 <= status < 400:
            return
        if status >= 400:
            self._counts[f"err.{kind}.n"] += 1
            return
        self._counts[f"{kind}.n"] += 1
        if kind in _WITH_SIZE:
            self._counts[f"{kind}.size"] += size_bytes
            self._counts[f"{kind}.ns.total"] += elapsed_ns

    def snapshot(self) -> dict[str, int]:
        """Return all counts, by name."""
        return dict(sorted(self._counts.items()))


def _kind(method: str, path: str) -> str:
    """Return AIStore's name of a request about objects; "" for others."""
    path = path.partition("?")[0]
    if path.startswith("/v1/objects/"):
        return _OF_OBJECTS.get(method, "")
    if path.startswith("/s3/"):
        is_object = "/" in path.removeprefix("/s3/").rstrip("/")
        return _OF_OBJECTS.get(method, "") if is_object else "lst" * (method == "GET")
    return "lst" if method == "GET" and path.startswith("/v1/buckets/") else ""


def _names() -> list[str]:
    kinds = [*_OF_OBJECTS.values(), "lst"]
    names = [name for kind in kinds for name in (f"{kind}.n", f"err.{kind}.n")]
    return names + [name for kind in _WITH_SIZE for name in (f"{kind}.size", f"{kind}.ns.total")]
