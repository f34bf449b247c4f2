"""Sessions of requests for control calls: one for each thread."""

from __future__ import annotations

import os
import threading
from weakref import WeakSet

import requests

from aisio.records import Settings
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, head_limit_s
from aisio.transport.http.pools import ended_error
from aisio.transport.http.tls_files import check_tls_files

__all__ = ["ThreadSessions", "new_session"]


class ThreadSessions:
    """The `requests.Session` of each thread, made on first use.

    A `requests.Session` is not thread-safe. Nor may it be used on both sides of a fork: two
    processes that share a socket read each other's responses.

    Args:
        settings: What the sessions are made with.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = threading.local()
        self._living: WeakSet[requests.Session] = WeakSet()  # of this process
        self._pid = os.getpid()
        self._has_ended = False

    def current(self) -> requests.Session:
        """Return the calling thread's session in this process.

        Raises:
            ConfigError: `end` was called.
        """
        if self._has_ended:
            raise ended_error(self._settings)
        local, pid = self._local, os.getpid()
        if getattr(local, "pid", None) != pid:
            local.session = new_session(self._settings)
            local.pid = pid
            if self._pid != pid:
                self._living, self._pid = WeakSet(), pid
            self._living.add(local.session)
        session: requests.Session = local.session
        return session

    def close_current(self) -> None:
        """Close the calling thread's session; the thread's next call makes a new one."""
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.session.close()
        self._local.__dict__.clear()

    def end(self) -> None:
        """Close the sessions of all threads of this process, and make no more."""
        self._has_ended = True
        if self._pid == os.getpid():
            for session in list(self._living):
                session.close()


def new_session(settings: Settings) -> requests.Session:
    """Return a session of requests with the TLS files and pool size of the settings.

    Raises:
        ConfigError: A file for TLS is missing, or does not hold what it must.
    """
    tls = settings.tls
    check_tls_files(tls, settings.endpoint)
    session = _SessionWithoutRedirects()
    adapter = HeadDeadlineAdapter(settings.pool_size, head_limit_s(settings.timeouts))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.verify = tls.ca_file if tls.verify and tls.ca_file else tls.verify
    if tls.client_cert_file and tls.client_key_file:
        session.cert = (tls.client_cert_file, tls.client_key_file)
    else:
        session.cert = tls.client_cert_file
    return session


class _SessionWithoutRedirects(requests.Session):
    """A session that follows no redirects: requests would read their bodies without a limit."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None."""
