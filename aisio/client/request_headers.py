"""Headers that all requests to an endpoint, or to a node that it names, have."""

from __future__ import annotations

from collections.abc import Mapping

from aisio.records import Settings
from aisio.version import __version__

__all__ = ["NODE_HEADERS", "endpoint_headers"]

NODE_HEADERS: Mapping[str, str] = {"User-Agent": f"aisio/{__version__}"}
"""Headers of a request to any host but the endpoint's: the token is not for it."""


def endpoint_headers(settings: Settings) -> Mapping[str, str]:
    """Return the headers of a request to the endpoint."""
    if not settings.token:
        return NODE_HEADERS
    return {**NODE_HEADERS, "Authorization": f"Bearer {settings.token}"}
