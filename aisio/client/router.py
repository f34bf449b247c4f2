"""Straight to the target: where an object lies is computed, which saves the proxy's redirect.

The cluster map is fetched once a process and endpoint, on the first read. It can be wrong (a node
left, a rebalance is under way, the nodes' public network cannot be reached from here), so a target
that fails to deliver is never the last word: the map is read again, and the proxy asked once. Only
a target that cannot be connected to is avoided for a while; one that broke off may do so any time.

Replies to reads do not say which map is current: a target that has joined shows by no failure, only
by reads that go the long way through another. So the map is also read again each minute of reading,
by a thread of its own, while reads go on with the old one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from aisio.client.session import Session
from aisio.errors import AccessError, IntegrityError, NotFoundError, StorageError
from aisio.transport.concurrency.pending import (
    GetKey,
    PendingGet,
    SentRequest,
    claim,
)
from aisio.transport.http.connection_pool import Request
from aisio.transport.http.errors import never_connected
from aisio.transport.http.response_body import OpenReply, drain_and_release
from aisio.transport.http.urls import REDIRECTS, origin_of, query_text
from aisio.transport.retries import RETRYABLE, MissingForNowError, NeverReachedError
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_path
from aisio.wire.placement import ClusterMap, Target, parse_cluster_map

FRESH_S = 1.0
"""A map read so recently is not read again: a thousand missing objects are not a thousand maps."""

REFRESHED_S = 60.0
"""How old a map may be before the next read has it read again."""

AVOIDED_S = 30.0
"""How long an unreachable target is left to the proxy, and a map that could not be read is not
asked for again."""

SETTLES_S = 30.0
"""How long after the map has changed, or could not be read, a 404 may be wrong. In AIStore 5.0 a
node that has just joined answers so for 1 to 2 s: it has not got the object yet, and does not yet
ask the others for it. And a proxy that was restarted knows for 15 s some of its targets, not all.
"""

MAP_WAIT_S = 30.0
"""How long a read waits for a map that another thread reads: its answer may never end."""


@dataclass
class _Known:
    """What this process knows of one cluster.

    Attributes:
        map: The newest that could be read; None for none, or where it is of no use.
        read_at: When it was asked for last.
        failed: It could not be read then.
        is_named_otherwise: The proxy names targets by other addresses than the map does.
        avoided_until: Id of a target -> until when it is left to the proxy.
    """

    map: ClusterMap | None
    read_at: float
    failed: bool = False
    is_named_otherwise: bool = False
    avoided_until: dict[str, float] = field(default_factory=dict)


_known: dict[tuple[int, str], _Known] = {}

_changed_at: dict[str, float] = {}
"""Endpoint -> when its map was last seen to differ from the one before, or the proxy to be away. A
fork's child knows it too."""

_reading: dict[tuple[int, str], threading.Lock] = {}
"""Held by who reads a map. By process, as `_known`: a fork may take a held one along."""

_refreshing: dict[tuple[int, str], threading.Thread] = {}

_FORK_WAIT_S = 0.5
"""How long a fork waits for a map that is being read: Python warns of forks beside threads."""

_log = logging.getLogger(__name__)


class Router:
    """Opens replies to reads, at the target that should hold the object or by way of the proxy.

    Args:
        requests: The way to the endpoint.
        now: A clock that never goes back, in seconds.
    """

    def __init__(self, requests: Session, now: Callable[[], float] = time.monotonic) -> None:
        self._requests = requests
        self._now = now

    def open(
        self,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> OpenReply:
        """Send a GET or HEAD and return its open reply.

        Raises:
            StorageError: Status 400 or above, no answer, or no connection.
        """
        sent = claim(GetKey(self._requests, url, query, headers)) if method == "GET" else None
        request = sent.request if sent is not None else None
        target = sent.target if sent is not None else self._target_of(url)
        if target is not None:
            try:
                response = self._at(target, method, url, query, headers, request)
                if response.status not in REDIRECTS:
                    return response
                drain_and_release(response)
            except StorageError as error:
                if not self._proxy_knows_better(error, target):
                    raise
            request = None
        try:
            return self._by_proxy(method, url, query, headers, request)
        except NotFoundError as error:
            if not self._is_settling():
                raise
            raise MissingForNowError(
                f"{error}; nodes of the cluster have just come or gone",
                url=error.url,
                status=error.status,
            ) from error

    def send_ahead(
        self, url: ObjectUrl, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> PendingGet | None:
        """Send a GET whose answer `open` is to read later; None where it cannot be sent ahead.

        It can where plain http leads to the node that has the object: a target, or a gateway. What
        goes wrong here shows when the object is read.
        """
        try:
            target = self._target_of(url)
        except StorageError:
            return None
        if target is None and not self._proxy_has_all():
            return None
        node = self._endpoint if target is None else target.endpoint
        if not node.startswith("http:"):
            return None
        address = _address(node, url, query)
        try:
            request = self._requests.send(
                address, headers=self._headers_to(address, headers), about=str(url)
            )
        except StorageError as error:
            if target is not None and never_connected(error):
                self._avoid(target)
                self._moved()
            return None
        if request is None:
            return None
        return PendingGet(GetKey(self._requests, url, query, headers), SentRequest(target, request))

    def check_placement(self, url: ObjectUrl, address: str) -> None:
        """Compare the map with where the proxy has just sent a PUT; read it again if they differ.

        Else reads of what was written would go to a node that may have an older version.

        Args:
            url: The object.
            address: The http URL at the target.
        """
        known = _known.get(self._key)
        if known is None or known.map is None or known.is_named_otherwise:
            return
        if not known.map.can_read_directly:
            return
        if origin_of(address) == origin_of(known.map.target_of(url).endpoint):
            return
        after = self._read_map(known)
        is_read = after is not known and not after.failed
        after.is_named_otherwise = is_read and after.map == known.map

    def _proxy_knows_better(self, error: StorageError, target: Target) -> bool:
        if isinstance(error, NotFoundError):
            return self._moved() or self._is_settling()
        if isinstance(error, AccessError):
            # The cluster wants its own signature on requests to targets: only the proxy gives it.
            self._remember(None)
        elif error.status is None:
            if never_connected(error):
                self._avoid(target)
            self._moved()
        # A target says 400 where the proxy says what is wrong, as of a missing bucket.
        return error.status in (None, 400, 401, 403)

    def _at(
        self,
        target: Target,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None,
        request: Request | None,
    ) -> OpenReply:
        if request is not None:
            return self._requests.answer(request, target.endpoint, about=str(url))
        address = _address(target.endpoint, url, query)
        return self._requests.exchange(
            method, address, headers=self._headers_to(address, headers), about=str(url)
        )

    def _headers_to(self, address: str, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        own = self._requests.headers_for(address)
        return {**own, **headers} if headers else own

    def _by_proxy(
        self,
        method: str,
        url: ObjectUrl,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None,
        request: Request | None,
    ) -> OpenReply:
        return self._requests.stream(
            method, object_path(url), query=query, headers=headers, about=str(url), sent=request
        )

    def _proxy_has_all(self) -> bool:
        known = _known.get(self._key)
        return (
            self._requests.settings.direct
            and known is not None
            and known.map is not None
            and known.map.is_one_node
        )

    def _target_of(self, url: ObjectUrl) -> Target | None:
        if not self._requests.settings.direct:
            return None
        known = _known.get(self._key)
        if known is None or (known.map is None and self._now() - known.read_at > AVOIDED_S):
            known = self._read_map(known)
        elif self._now() - known.read_at > REFRESHED_S:
            self._refresh()
        if known.map is None or not known.map.can_read_directly:
            return None
        target = known.map.target_of(url)
        if known.avoided_until and known.avoided_until.get(target.id, 0.0) > self._now():
            return None
        return target

    def _moved(self) -> bool:
        """Read the map again, and tell whether the proxy may know better than the target."""
        known = _known.get(self._key)
        if known is None:
            return False
        if self._now() - known.read_at < (AVOIDED_S if known.failed else FRESH_S):
            return known.failed
        before, after = known.map, self._read_map(known)
        if after.failed or after.map is None or before is None:
            return True
        return after.map.is_newer_than(before)

    def _read_map(self, seen: _Known | None) -> _Known:
        """Read the map, unless another thread has done so since this one has `seen` what is known.

        Without a map there is no short cut, but an old one is better than none; if the cluster
        itself is away, the read will say so.
        """
        lock = _reading.setdefault(self._key, threading.Lock())
        if not lock.acquire(timeout=MAP_WAIT_S):
            return self._remember(seen.map if seen else None, failed=True)
        try:
            known = _known.get(self._key)
            if known is not None and known is not seen:
                return known
            return self._ask_for_map()
        finally:
            lock.release()

    def _ask_for_map(self) -> _Known:
        try:
            reply = self._requests.call("GET", "/v1/daemon", query={"what": "smap"}, safe=False)
            return self._remember(parse_cluster_map(reply.body))
        except StorageError as error:
            before = _known.get(self._key)
            if before is None and (error.given_up or isinstance(error, NeverReachedError)):
                raise  # the read itself would only find the same
            if isinstance(error, IntegrityError):
                _log.warning("%s; objects are read by way of the proxy", error)
            # Once: a map that can never be read tells nothing.
            if before is not None and not before.failed and isinstance(error, RETRYABLE):
                _changed_at[self._endpoint] = self._now()
            return self._remember(before.map if before else None, failed=True)

    def _refresh(self) -> None:
        """Have the map read by another thread, unless it is being read already."""
        lock = _reading.setdefault(self._key, threading.Lock())
        if not lock.acquire(blocking=False):
            return
        thread = threading.Thread(
            target=self._refresh_apart, args=(lock,), name="aisio-map", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter is about to end, or the system has no thread left
            lock.release()
        else:
            _refreshing[self._key] = thread

    def _refresh_apart(self, lock: threading.Lock) -> None:
        try:
            self._ask_for_map()
        finally:
            self._requests.leave()
            lock.release()

    def _remember(self, cluster_map: ClusterMap | None, *, failed: bool = False) -> _Known:
        before, now = _known.get(self._key), self._now()
        known = _known[self._key] = _Known(cluster_map, now, failed)
        if before is not None:
            known.avoided_until = before.avoided_until
            is_same = cluster_map == before.map
            known.is_named_otherwise = before.is_named_otherwise and is_same
            # Not only a newer one: that of a proxy which has just started lacks targets at first. A
            # map that was put aside, as it is of no use, and is now read again has not changed.
            is_known = before.map is not None or before.failed
            if is_known and cluster_map is not None and not is_same:
                _changed_at[self._endpoint] = now
        return known

    def _is_settling(self) -> bool:
        return self._now() - _changed_at.get(self._endpoint, -inf) < SETTLES_S

    def _avoid(self, target: Target) -> None:
        known = _known.get(self._key)
        if known is not None:
            known.avoided_until[target.id] = self._now() + AVOIDED_S

    @property
    def _key(self) -> tuple[int, str]:
        return os.getpid(), self._endpoint

    @property
    def _endpoint(self) -> str:
        return self._requests.settings.endpoint


def _address(node: str, url: ObjectUrl, query: Mapping[str, str]) -> str:
    return f"{node}{object_path(url)}?{query_text(query)}"


def end_refreshes() -> None:
    """Wait for maps that are being read, but not for long."""
    pid = os.getpid()
    for key, thread in list(_refreshing.items()):
        if key[0] == pid:
            thread.join(_FORK_WAIT_S)
            _refreshing.pop(key, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=end_refreshes)
