"""AskedWaits: Retry-After, which obstore does not show."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from aisio.records import TlsFiles
from aisio.replies import retry_after_s

__all__ = ["AskedWaits"]

_PATIENCE_S = (3.0, 3.0)


class AskedWaits:
    """How long busy servers ask to wait, found by asking once more for a head alone.

    A server that is busy says so before it looks at credentials, so none are sent. One that
    refuses without a Retry-After is not asked again.

    Args:
        tls: How servers are to prove who they are.
    """

    def __init__(self, tls: TlsFiles) -> None:
        self._tls = tls
        self._silent: set[str] = set()

    def of(self, http_url: str) -> float | None:
        """Return the seconds that the server of a URL asks to wait; None where it asks for none."""
        parts = urlsplit(http_url)
        if parts.netloc in self._silent or (parts.scheme == "https" and not self._tls.verify):
            return None
        try:
            with requests.Session() as http:
                http.auth = _without_credentials
                verify = self._tls.ca_file or True
                reply = http.head(http_url, timeout=_PATIENCE_S, verify=verify)
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return None
        wait_s = retry_after_s(reply.headers)
        if wait_s is None and not reply.ok:
            self._silent.add(parts.netloc)
        return wait_s


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: `requests` would take what ~/.netrc says of the host."""
    return request
