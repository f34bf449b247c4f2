"""Sessions of requests, as control calls need them."""

from __future__ import annotations

import requests

from aisio.errors import StorageError
from aisio.http_urls import headers_after, redirected
from aisio.records import Settings
from aisio.timed_heads import TimedAdapter, slowest_head_s
from aisio.tls_files import check_tls_files

__all__ = ["MOST_REDIRECTS", "new_session"]

MOST_REDIRECTS = 3
_CHANGED_TO_GET = (301, 302, 303)


def new_session(settings: Settings) -> requests.Session:
    """Return a session with certificates, authorities and pools as the settings say.

    Raises:
        ConfigError: A file for TLS is missing, or not what it is to be.
    """
    tls = settings.tls
    check_tls_files(tls, settings.endpoint)
    session = _Session()
    session.max_redirects = MOST_REDIRECTS
    adapter = TimedAdapter(settings.pool_size, slowest_head_s(settings.timeouts))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.verify = tls.ca_file if tls.verify and tls.ca_file else tls.verify
    if tls.client_cert_file and tls.client_key_file:
        session.cert = (tls.client_cert_file, tls.client_key_file)
    else:
        session.cert = tls.client_cert_file
    return session


class _Session(requests.Session):
    """A session whose only credentials are the headers it is given."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a redirect leads.

        Raises:
            StorageError: It would have requests turn a change into a GET, or leads nowhere.
        """
        where = super().get_redirect_target(resp)
        if not where:
            return None
        method = resp.request.method
        if method not in ("GET", "HEAD") and resp.status_code in _CHANGED_TO_GET:
            raise StorageError(
                f"{method} {resp.url}: redirected by {resp.status_code}, which would make it a GET"
            )
        return redirected(where, str(resp.url))

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Leave the token behind where a redirect leaves the host; do not look into ~/.netrc."""
        headers = prepared_request.headers
        kept = headers_after(headers, str(response.request.url), str(prepared_request.url))
        if "Authorization" not in kept:
            headers.pop("Authorization", None)
