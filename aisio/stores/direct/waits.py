"""AskedWaits: Retry-After, which obstore does not show."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from aisio.config import first_set
from aisio.records import TlsFiles
from aisio.transport.http.errors import retry_after_s
from aisio.transport.http.head_deadline import HeadDeadlineAdapter

__all__ = ["AskedWaits"]

_PATIENCE_S = 3.0


class AskedWaits:
    """How long busy servers ask to wait, found by asking once more for a head alone.

    A server that is busy says so before it looks at credentials, so none are sent: no header, and
    no query, which holds the signature where Azure is reached by a SAS token. A server that refuses
    without a Retry-After is not asked again.

    Args:
        tls: How servers are to prove who they are; without a `ca_file`, by the authorities of
            AWS_CA_BUNDLE, AIS_CLIENT_CA, or `requests`.
        head_s: How long the head of a reply may take from its first byte on, in seconds.
    """

    def __init__(self, tls: TlsFiles, *, head_s: float = _PATIENCE_S) -> None:
        self._tls = tls
        self._head_s = head_s
        self._silent: set[str] = set()

    def of(self, http_url: str) -> float | None:
        """Return the seconds that the server of a URL asks to wait; None where it asks for none."""
        parts = urlsplit(http_url)
        if parts.netloc in self._silent or (parts.scheme == "https" and not self._tls.verify):
            return None
        try:
            reply = self._head(parts._replace(query="", fragment="").geturl())
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return None
        wait_s = retry_after_s(reply.headers)
        if wait_s is None and not reply.ok:
            self._silent.add(parts.netloc)
        return wait_s

    def _head(self, url: str) -> requests.Response:
        verify = self._tls.ca_file or first_set("AWS_CA_BUNDLE", "AIS_CLIENT_CA") or True
        with requests.Session() as http:
            http.auth = _without_credentials
            for scheme in ("http://", "https://"):
                http.mount(scheme, HeadDeadlineAdapter(1, self._head_s))
            return http.head(url, timeout=_PATIENCE_S, verify=verify)


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: `requests` would take what ~/.netrc says of the host."""
    return request
