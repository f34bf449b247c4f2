"""Pools: the connections for bodies that one session has in this process, by host.

Threads share them, and one thread at a time uses a connection. If each of 32 threads kept its own
connection to each of 64 targets, a process would run out of file descriptors.

A forked child starts without any. It closes its copies of its parent's sockets, which the server
does not notice.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakSet

import requests
import urllib3
from requests.utils import select_proxy

from aisio import forks
from aisio.errors import ConfigError
from aisio.records import Settings
from aisio.transport.http.connection_pool import ConnectionPool
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, head_limit_s
from aisio.transport.http.tls_files import check_tls_files

__all__ = ["OriginPool", "Pools", "ended_error", "keep_headers"]


class OriginPool(NamedTuple):
    """The connections to one origin.

    Attributes:
        urllib3_pool: urllib3's connections to the host, or to the HTTP proxy that leads there.
        needs_absolute_url: Whether the proxy wants the absolute URL in the request line.
        plain: Our own connections, where plain http and no proxy lead to the host; see
            `IDEMPOTENT_METHODS`.
    """

    urllib3_pool: urllib3.HTTPConnectionPool
    needs_absolute_url: bool
    plain: ConnectionPool | None


class Pools:
    """The connections of one session in this process.

    Args:
        settings: Timeouts, TLS files, and how many idle connections to one host are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_origin: dict[str, OriginPool] = {}
        self._has_ended = False
        _living.add(self)

    def find(self, origin: str) -> OriginPool | None:
        """Return the pool of an origin, as in "http://127.0.0.1:8080"; None if it has none yet.

        Raises:
            ConfigError: `end` was called.
        """
        if self._has_ended:
            raise ended_error(self._settings)
        return self._by_origin.get(origin)

    def open(self, origin: str, url: str, session: requests.Session) -> OriginPool:
        """Make the pool of an origin, with the proxy and TLS files that requests would use.

        Args:
            origin: Scheme and host.
            url: Any URL of that origin.
            session: The calling thread's session of requests, which has all settings of TLS.
        """
        # An adapter for each origin: a shared one would return a pool again that was closed.
        settings = self._settings
        adapter = HeadDeadlineAdapter(settings.pool_size, head_limit_s(settings.timeouts))
        check_tls_files(settings.tls, url)
        request = session.prepare_request(requests.Request("GET", url, auth=keep_headers))
        options = session.merge_environment_settings(url, {}, True, session.verify, None)
        urllib3_pool = adapter.get_connection_with_tls_context(
            request, options["verify"], proxies=options["proxies"], cert=options["cert"]
        )
        assert isinstance(urllib3_pool, urllib3.HTTPConnectionPool)
        # requests does this before each request: it sets the certificate authorities of the pool.
        adapter.cert_verify(urllib3_pool, url, options["verify"], options["cert"])  # type: ignore[no-untyped-call]
        needs_absolute_url = adapter.request_url(request, options["proxies"]).startswith("http")
        is_plain = url.startswith("http:") and not select_proxy(url, options["proxies"])
        plain = ConnectionPool(origin, settings.timeouts, settings.pool_size) if is_plain else None
        # Threads that come at the same time must all get the same pool.
        pool = OriginPool(urllib3_pool, needs_absolute_url, plain)
        return self._by_origin.setdefault(origin, pool)

    def discard(self, origin: str) -> None:
        """Close the idle connections to an origin; the next request there opens a new pool."""
        pool = self._by_origin.pop(origin, None)
        if pool is None:
            return
        if pool.plain is not None:
            pool.plain.retire()
        pool.urllib3_pool.close()

    def close(self) -> None:
        """Close all idle connections; the next request opens new ones."""
        for origin in list(self._by_origin):
            self.discard(origin)

    def end(self) -> None:
        """Close all idle connections, and open no more."""
        self._has_ended = True
        self.close()

    def drop_in_child(self) -> None:
        """Start without connections in a forked child."""
        pools, self._by_origin = self._by_origin, {}
        for pool in pools.values():
            if pool.plain is not None:
                pool.plain.retire()


def ended_error(settings: Settings) -> ConfigError:
    """Return the error of a request by a client whose connections were closed for good."""
    return ConfigError(
        f"the client of {settings.endpoint} was closed at the end of its `with` block: use it, and"
        " what was made with it, inside of the block, or make a new Client"
    )


def keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return a request as it is: an `auth` that keeps requests from reading ~/.netrc."""
    return request


_living: WeakSet[Pools] = WeakSet()


@forks.in_child
def _drop_in_child() -> None:
    for pools in list(_living):
        pools.drop_in_child()
