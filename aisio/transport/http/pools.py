"""Pools: the connections that a process has for bodies, by host.

Threads share them, each connection being in one thread's hands at a time: if each of 32 threads
kept its own to each of 64 targets, a process would run out of files. A forked child begins without
any; what it has of its parent's is closed, which the other end does not notice.
"""

from __future__ import annotations

import os
from typing import NamedTuple
from weakref import WeakSet

import requests
import urllib3
from requests.utils import select_proxy

from aisio.records import Settings
from aisio.transport.http.connection_pool import ConnectionPool
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, slowest_head_s
from aisio.transport.http.tls_files import check_tls_files

__all__ = ["Pool", "Pools", "keep_headers"]


class Pool(NamedTuple):
    """The connections to one host.

    Attributes:
        connections: Of urllib3; also a proxy's.
        absolute: Request lines hold the absolute URL, as an http proxy wants it.
        plain: Our own, where plain http and no proxy lead to the host: then the others stay unused.
    """

    connections: urllib3.HTTPConnectionPool
    absolute: bool
    plain: ConnectionPool | None


class Pools:
    """The connections of one client in this process.

    Args:
        settings: Timeouts, and how many connections to one host are kept that are not in use.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_origin: dict[str, Pool] = {}
        _living.add(self)

    def find(self, origin: str) -> Pool | None:
        """Return the pool of an origin, as in "http://127.0.0.1:8080", if there is one."""
        return self._by_origin.get(origin)

    def open(self, origin: str, url: str, session: requests.Session) -> Pool:
        """Ask requests which proxy, certificates and authorities hold for a host, once.

        Args:
            origin: The host.
            url: Any URL of it.
            session: Of the calling thread, with all settings of TLS.
        """
        # One for each origin: an adapter would hand a closed pool out again.
        settings = self._settings
        adapter = HeadDeadlineAdapter(settings.pool_size, slowest_head_s(settings.timeouts))
        check_tls_files(settings.tls, url)
        request = session.prepare_request(requests.Request("GET", url, auth=keep_headers))
        options = session.merge_environment_settings(url, {}, True, session.verify, None)
        connections = adapter.get_connection_with_tls_context(
            request, options["verify"], proxies=options["proxies"], cert=options["cert"]
        )
        assert isinstance(connections, urllib3.HTTPConnectionPool)
        # What requests does before each request of its own: it sets the pool's authorities.
        adapter.cert_verify(connections, url, options["verify"], options["cert"])  # type: ignore[no-untyped-call]
        absolute = adapter.request_url(request, options["proxies"]).startswith("http")
        is_plain = url.startswith("http:") and not select_proxy(url, options["proxies"])
        plain = ConnectionPool(origin, settings.timeouts, settings.pool_size) if is_plain else None
        # Of threads that come at once all must get the same.
        return self._by_origin.setdefault(origin, Pool(connections, absolute, plain))

    def forget(self, origin: str) -> None:
        """Have the next request to a host open a new connection; the kept ones are closed."""
        pool = self._by_origin.pop(origin, None)
        if pool is None:
            return
        if pool.plain is not None:
            pool.plain.retire()
        pool.connections.close()

    def close(self) -> None:
        """Close all that are not in use; the next request opens new ones."""
        for origin in list(self._by_origin):
            self.forget(origin)

    def leave_to_parent(self) -> None:
        """Begin anew in a forked child."""
        pools, self._by_origin = self._by_origin, {}
        for pool in pools.values():
            if pool.plain is not None:
                pool.plain.retire()


def keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand in for "no other credentials": without an auth, requests would look into ~/.netrc."""
    return request


_living: WeakSet[Pools] = WeakSet()


def _leave_to_parent() -> None:
    for pools in list(_living):
        pools.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
