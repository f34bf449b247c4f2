"""Redirects: reads of a cluster whose targets answer only what its proxy has sent to them.

AIStore refuses direct requests to targets where it demands tokens (`auth.client_auth_required`) or
signed requests (`auth.intra_cluster.request_auth`), and may hide its map from a token. Each read
then begins at the proxy, which redirects it. From release 5.1 on the proxy signs the method, path
and body length of what it redirects, but neither a time nor the byte range. So one redirect serves
all ranges of an object: those that are read at once, and those after a broken response. If a target
refuses a redirect, because a node was restarted with a new key or because the object has moved, the
proxy is asked for a new one.

Source:
    AIStore 5.0, ais/signverify.go and ais/prxred.go; a live cluster with signatures switched on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from aisio.transport.http.urls import host_of, origin_of
from aisio.wire.placement import ClusterMap

__all__ = ["KEEP_REDIRECT_S", "RETRY_DIRECT_S", "KeptRedirects", "Redirects"]

KEEP_REDIRECT_S = 60.0
"""How long a redirect is followed again, in seconds: as long as a cluster map is relied on."""

RETRY_DIRECT_S = 600.0
"""How long no direct read is tried after targets have refused one: the refusal may have had another
cause, and a cluster may be set up anew."""

_MAX_KEPT = 4096
"""A redirect takes about half a kilobyte."""

_log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    url: str
    at: float
    cluster_map: ClusterMap | None


class Redirects:
    """Whether reads of a cluster must begin at its proxy.

    Args:
        now: A clock that never goes back, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._refused_at = -inf
        self._has_logged = False

    @property
    def are_required(self) -> bool:
        """Whether targets have refused direct reads."""
        return self._now() - self._refused_at < RETRY_DIRECT_S

    def require(self, refusal: str = "") -> None:
        """Let all reads go by the proxy from now on.

        Args:
            refusal: Text of the error of the direct read, which is logged once; "" logs nothing.
        """
        self._refused_at = self._now()
        if refusal and not self._has_logged:
            self._has_logged = True
            _log.info(
                "the cluster's targets refuse direct requests: reads begin at its proxy from now "
                "on (%s)",
                refusal,
            )


class KeptRedirects:
    """Where the proxy has redirected reads of one client.

    Another client may have another token, which may not allow the same reads. Under another map of
    the cluster the object may be at another target, and an old version of it where it was before.

    Args:
        now: A clock that never goes back, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kept: dict[str, _Kept] = {}

    def find(self, address: str, cluster_map: ClusterMap | None) -> str | None:
        """Return where the proxy has redirected a GET of late; None if it is to be asked.

        Args:
            address: Path and query of the request to the proxy.
            cluster_map: The cluster's map; None if it is not known.
        """
        kept = self._kept.get(address)
        if kept is None or self._now() - kept.at >= KEEP_REDIRECT_S:
            return None
        return kept.url if kept.cluster_map is cluster_map else None

    def keep(self, address: str, url: str, cluster_map: ClusterMap | None) -> None:
        """Keep where the proxy has redirected a GET.

        Args:
            address: As for `find`; so is the last.
            url: The whole URL at the target.
            cluster_map: The map.
        """
        if len(self._kept) >= _MAX_KEPT:
            self._kept = {}
        self._kept[address] = _Kept(url, self._now(), cluster_map)

    def drop(self, address: str, url: str, why: object) -> None:
        """Forget a redirect that did not lead to the bytes, unless it was replaced already."""
        kept = self._kept.get(address)
        if kept is not None and kept.url == url:
            self._kept.pop(address, None)
            _log.debug("%s did not follow a redirect any more: %s", host_of(url), why)

    def compare(self, address: str, url: str) -> None:
        """Forget all redirects if the proxy has just sent a PUT elsewhere than an earlier GET.

        Args:
            address: Path and query of the GET.
            url: The whole URL of the PUT at the target.
        """
        kept = self._kept.get(address)
        if kept is not None and origin_of(kept.url) != origin_of(url):
            self._kept = {}
