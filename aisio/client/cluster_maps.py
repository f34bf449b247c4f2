"""ClusterMapCache: what a process knows of a cluster's map, and when it reads the map again.

The first read of a process reads the map. It may be wrong or become wrong: a node has left, the
cluster rebalances, or a proxy that has just started does not know all targets yet. So it is read
again after a read at a target has failed, and when a PUT was sent to another target than the map
says.

A target that has joined makes no read fail: the read takes the longer way through another target.
So the map is also read again each minute of reading, by a thread of its own, while reads go on with
the old one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol
from weakref import WeakSet

from aisio import forks
from aisio.errors import IntegrityError, StorageError
from aisio.transport.http.urls import origin_of
from aisio.transport.retries import RETRYABLE, NeverReachedError
from aisio.urls import ObjectUrl
from aisio.wire.placement import ClusterMap, Target

__all__ = ["ClusterMapCache", "MapReader", "MapTimes", "end_refreshes"]

_FORK_WAIT_S = 0.5
"""How long a fork waits for a map that is being read: Python warns of forks beside threads."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapTimes:
    """How long what is known of a cluster is relied on, in seconds.

    Attributes:
        fresh_s: A map that was read so recently is not read again: a thousand missing objects do
            not read a thousand maps.
        refresh_after_s: How old a map may be before the next read has it read again.
        retry_after_s: How long a map that could not be read is not tried again.
        avoid_target_s: How long reads go by the proxy in place of a target that cannot be reached.
        settling_s: How long a 404 may be wrong after the map has changed or could not be read. In
            AIStore 5.0 a node that has just joined answers 404 for 1 to 2 s: it does not have the
            object yet, and does not ask the other nodes yet. A proxy that was restarted knows only
            some of its targets for 15 s.
        lock_timeout_s: How long a read waits while another thread reads the map: the response that
            this thread waits for may never end.
    """

    fresh_s: float = 1.0
    refresh_after_s: float = 60.0
    retry_after_s: float = 30.0
    avoid_target_s: float = 30.0
    settling_s: float = 30.0
    lock_timeout_s: float = 30.0


class MapReader(Protocol):
    """What reads a map from the cluster: a session."""

    def read_cluster_map(self) -> ClusterMap:
        """Read the map from the endpoint, with one request.

        Raises:
            StorageError: It cannot be read.
        """

    def close_thread_connections(self) -> None:
        """Close the connections that only the calling thread uses."""


@dataclass(slots=True)
class _Known:
    """The outcome of the last attempt to read the map.

    Attributes:
        map: The newest map that could be read; None if there is none, or if it is of no use.
        read_at: When the attempt was made.
        failed: Whether the attempt failed.
        has_other_addresses: Whether the proxy redirects to other addresses than the map has.
    """

    map: ClusterMap | None
    read_at: float
    failed: bool = False
    has_other_addresses: bool = False


class ClusterMapCache:
    """The map of one cluster, for all threads and sessions of a process.

    A forked child starts without a map, but knows when its parent last saw the map change.

    Args:
        times: How long what is known is relied on.
        now: A clock that never goes back, in seconds.
    """

    def __init__(
        self, times: MapTimes | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._times = times or MapTimes()
        self._now = now
        self._changed_at = -inf
        self.forget_map()
        _living.add(self)

    def forget_map(self) -> None:
        """Start without a map, as a forked child does; another thread may hold the old lock."""
        self._known: _Known | None = None
        self._avoided_until: dict[str, float] = {}
        self._read_lock = threading.Lock()

    @property
    def is_settling(self) -> bool:
        """Whether nodes have just come or gone, so that a 404 may be wrong."""
        return self._now() - self._changed_at < self._times.settling_s

    @property
    def is_one_node(self) -> bool:
        """Whether the endpoint is known to hold all objects itself, as a gateway does."""
        known = self._known
        return known is not None and known.map is not None and known.map.is_one_node

    @property
    def map(self) -> ClusterMap | None:
        """The map that was read last: the same object until it changes; None without one."""
        known = self._known
        return known.map if known is not None else None

    def target_of(self, url: ObjectUrl, reader: MapReader) -> Target | None:
        """Return the target that should hold an object; None if the proxy must be asked.

        Raises:
            StorageError: The endpoint cannot be reached at all.
        """
        known = self.keep_fresh(reader)
        if known.map is None or not known.map.can_read_directly:
            return None
        target = known.map.target_of(url)
        if self._avoided_until and self._avoided_until.get(target.id, 0.0) > self._now():
            return None
        return target

    def keep_fresh(self, reader: MapReader) -> _Known:
        """Read the map if none is known; have an old one read by another thread.

        Raises:
            StorageError: The endpoint cannot be reached at all.
        """
        known, times = self._known, self._times
        if known is None:
            known = self._read(reader, known)
        elif known.map is None:
            if self._now() - known.read_at > times.retry_after_s:
                known = self._read(reader, known)
        elif self._now() - known.read_at > times.refresh_after_s:
            self._start_refresh(reader)
        return known

    def avoid(self, target: Target) -> None:
        """Let reads go by the proxy for a while: this target cannot be reached."""
        self._avoided_until[target.id] = self._now() + self._times.avoid_target_s

    def recheck(self, reader: MapReader) -> bool:
        """Read the map again after a failed read; return whether the proxy may know better."""
        known, times = self._known, self._times
        if known is None:
            return False
        if self._now() - known.read_at < (times.retry_after_s if known.failed else times.fresh_s):
            return known.failed
        before, after = known.map, self._read(reader, known)
        if after.failed or after.map is None or before is None:
            return True
        return after.map.is_newer_than(before)

    def check_placement(self, url: ObjectUrl, address: str, reader: MapReader) -> None:
        """Compare the map with where the proxy has just redirected; read it again if they differ.

        Otherwise reads of a new object would go to a node that may have an older version.

        Args:
            url: The object.
            address: The http URL at the target.
            reader: What reads the map.
        """
        known = self._known
        if known is None or known.map is None or known.has_other_addresses:
            return
        if not known.map.can_read_directly:
            return
        if origin_of(address) == origin_of(known.map.target_of(url).endpoint):
            return
        after = self._read(reader, known)
        was_read = after is not known and not after.failed
        after.has_other_addresses = was_read and after.map == known.map

    def _read(self, reader: MapReader, seen: _Known | None) -> _Known:
        """Read the map, unless another thread has read it since the caller looked.

        An old map is better than none. If the cluster itself cannot be reached, the read of the
        object will report that.

        Args:
            reader: What reads the map.
            seen: What the caller found in `_known`.
        """
        lock = self._read_lock
        if not lock.acquire(timeout=self._times.lock_timeout_s):
            return self._store(seen.map if seen else None, failed=True)
        try:
            known = self._known
            if known is not None and known is not seen:
                return known
            return self._read_locked(reader)
        finally:
            lock.release()

    def _read_locked(self, reader: MapReader) -> _Known:
        try:
            return self._store(reader.read_cluster_map())
        except StorageError as error:
            before = self._known
            if before is None and (error.given_up or isinstance(error, NeverReachedError)):
                raise  # the read of the object would only fail in the same way
            if isinstance(error, IntegrityError):
                _log.warning("%s; objects are read by way of the proxy", error)
            # Only the first failure in a row: later ones say nothing new about the nodes.
            if before is not None and not before.failed and isinstance(error, RETRYABLE):
                self._changed_at = self._now()
            return self._store(before.map if before else None, failed=True)

    def _start_refresh(self, reader: MapReader) -> None:
        """Have another thread read the map, unless a thread reads it already."""
        lock = self._read_lock
        if not lock.acquire(blocking=False):
            return
        thread = threading.Thread(
            target=self._refresh, args=(reader, lock), name="aisio-map", daemon=True
        )
        _refreshing[self] = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter is about to end, or the system has no more threads
            lock.release()
            _refreshing.pop(self, None)

    def _refresh(self, reader: MapReader, lock: threading.Lock) -> None:
        try:
            self._read_locked(reader)
        finally:
            reader.close_thread_connections()
            lock.release()
            _refreshing.pop(self, None)

    def _store(self, cluster_map: ClusterMap | None, *, failed: bool = False) -> _Known:
        before, now = self._known, self._now()
        if before is not None and cluster_map == before.map:
            cluster_map = before.map
        known = self._known = _Known(cluster_map, now, failed)
        if before is not None:
            is_same = cluster_map is before.map
            known.has_other_addresses = before.has_other_addresses and is_same
            # Any difference counts, not only a newer version: a proxy that has just started lists
            # too few targets. Reading a discarded map again is no change.
            had_map = before.map is not None or before.failed
            if had_map and cluster_map is not None and not is_same:
                self._changed_at = now
        return known


_refreshing: dict[ClusterMapCache, threading.Thread] = {}

_living: WeakSet[ClusterMapCache] = WeakSet()


@forks.before
def end_refreshes(timeout_s: float | None = _FORK_WAIT_S) -> None:
    """Wait for the threads that refresh maps; by default not for long."""
    for cache, thread in list(_refreshing.items()):
        thread.join(timeout_s)
        _refreshing.pop(cache, None)


@forks.in_child
def _forget_in_child() -> None:
    _refreshing.clear()
    for cache in list(_living):
        cache.forget_map()
