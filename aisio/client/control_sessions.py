"""Sessions of requests, as control calls need them."""

from __future__ import annotations

import requests

from aisio.records import Settings
from aisio.transport.http.head_deadline import HeadDeadlineAdapter, slowest_head_s
from aisio.transport.http.tls_files import check_tls_files

__all__ = ["new_session"]


def new_session(settings: Settings) -> requests.Session:
    """Return a session with certificates, authorities and pools as the settings say.

    Raises:
        ConfigError: A file for TLS is missing, or not what it is to be.
    """
    tls = settings.tls
    check_tls_files(tls, settings.endpoint)
    session = _Session()
    adapter = HeadDeadlineAdapter(settings.pool_size, slowest_head_s(settings.timeouts))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.verify = tls.ca_file if tls.verify and tls.ca_file else tls.verify
    if tls.client_cert_file and tls.client_key_file:
        session.cert = (tls.client_cert_file, tls.client_key_file)
    else:
        session.cert = tls.client_cert_file
    return session


class _Session(requests.Session):
    """A session that follows no redirects: requests would read their bodies without any bound."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None."""
