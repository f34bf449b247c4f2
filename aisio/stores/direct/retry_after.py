"""RetryAfterProbe: the Retry-After of busy servers, which obstore does not show."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from aisio.config import first_set
from aisio.records import TlsFiles
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.head_deadline import HeadDeadlineAdapter

__all__ = ["RetryAfterProbe"]

_TIMEOUT_S = 3.0


class RetryAfterProbe:
    """Finds out how long a busy server asks clients to wait, by a HEAD request.

    A busy server says so before it checks credentials. So none are sent: neither a header, nor the
    query, which has the signature where Azure is reached by a SAS token. A server that answers with
    an error but no Retry-After is not probed again.

    Args:
        tls: How certificates of servers are verified. Without a `ca_file` by the authorities of
            AWS_CA_BUNDLE, AIS_CLIENT_CA, or `requests`.
        head_s: How long the head of a response may take from its first byte on, in seconds.
    """

    def __init__(self, tls: TlsFiles, *, head_s: float = _TIMEOUT_S) -> None:
        self._tls = tls
        self._head_s = head_s
        self._without_retry_after: set[str] = set()

    def wait_s(self, http_url: str) -> float | None:
        """Return the seconds that the server of a URL asks for; None if it asks for none."""
        parts = urlsplit(http_url)
        if parts.netloc in self._without_retry_after or (
            parts.scheme == "https" and not self._tls.verify
        ):
            return None
        try:
            response = self._head(parts._replace(query="", fragment="").geturl())
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return None
        seconds = retry_after_s(response.headers)
        if seconds is None and not response.ok:
            self._without_retry_after.add(parts.netloc)
        return seconds

    def _head(self, url: str) -> requests.Response:
        verify = self._tls.ca_file or first_set("AWS_CA_BUNDLE", "AIS_CLIENT_CA") or True
        with requests.Session() as http:
            http.auth = _without_credentials
            for scheme in ("http://", "https://"):
                http.mount(scheme, HeadDeadlineAdapter(1, self._head_s))
            return http.head(url, timeout=_TIMEOUT_S, verify=verify)


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request as it is: `requests` would add credentials from ~/.netrc."""
    return request
