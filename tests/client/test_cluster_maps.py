"""ClusterMapCache: one map for all threads, and none that is waited for too long."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from aisio.client.cluster_maps import ClusterMapCache, MapTimes, end_refreshes
from aisio.errors import IntegrityError, StorageError, UnavailableError
from aisio.urls import ObjectUrl
from aisio.wire.placement import ClusterMap, Target

OBJECT = ObjectUrl.parse("ais://b/o")
TARGET = Target("t", 1, "http://t")


def new_map(version: int = 1, *targets: Target) -> ClusterMap:
    """Return a map, by default with one target."""
    return ClusterMap(version, "u", targets or (TARGET,), "http://p")


class Reader:
    """Returns maps, or raises errors, in the order of a script."""

    def __init__(self, *outcomes: ClusterMap | StorageError) -> None:
        self.outcomes = list(outcomes)
        self.reads = 0
        self.closed_by: list[str] = []

    def read_cluster_map(self) -> ClusterMap:
        """Return or raise the next outcome."""
        self.reads += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, StorageError):
            raise outcome
        return outcome

    def close_thread_connections(self) -> None:
        """Remember which thread closed its connections."""
        self.closed_by.append(threading.current_thread().name)


class SlowReader(Reader):
    """Reads its map only once it is allowed to."""

    def __init__(self, *outcomes: Any) -> None:
        super().__init__(*outcomes)
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def read_cluster_map(self) -> ClusterMap:
        """Wait, then return the next outcome."""
        self.has_begun.set()
        self.may_end.wait()
        return super().read_cluster_map()


class Clock:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def test_a_map_whose_response_never_ends_is_not_waited_for() -> None:
    """Reads go by the proxy until it can be read."""
    cache, reader = ClusterMapCache(MapTimes(lock_timeout_s=0.01)), SlowReader(new_map())
    thread = threading.Thread(target=cache.target_of, args=(OBJECT, reader))
    thread.start()
    reader.has_begun.wait()
    assert cache.target_of(OBJECT, reader) is None
    reader.may_end.set()
    thread.join()
    assert (cache.target_of(OBJECT, reader), reader.reads) == (TARGET, 1)


def test_an_old_map_is_refreshed_by_one_thread_that_leaves_no_connection() -> None:
    """Reads go on with the old map meanwhile."""
    clock = Clock()
    cache = ClusterMapCache(now=clock)
    newcomer = Target("n", 1, "http://n")
    reader = SlowReader(new_map(), new_map(2, newcomer))
    reader.may_end.set()
    assert cache.target_of(OBJECT, reader) == TARGET
    reader.may_end.clear()
    clock.seconds = 61
    assert [cache.target_of(OBJECT, reader) for _ in range(3)] == [TARGET] * 3
    reader.may_end.set()
    end_refreshes(None)
    assert (cache.target_of(OBJECT, reader), reader.reads) == (newcomer, 2)
    assert reader.closed_by == ["aisio-map"]
    assert cache.is_settling


def test_a_target_that_is_avoided_is_tried_again_later() -> None:
    """Another target of the map is not avoided with it."""
    clock = Clock()
    cache, reader = ClusterMapCache(MapTimes(refresh_after_s=100), clock), Reader(new_map())
    assert cache.target_of(OBJECT, reader) == TARGET
    cache.avoid(TARGET)
    clock.seconds = 29
    assert cache.target_of(OBJECT, reader) is None
    clock.seconds = 31
    assert cache.target_of(OBJECT, reader) == TARGET


@pytest.mark.parametrize("error", [UnavailableError("503"), IntegrityError("no map")])
def test_a_map_that_cannot_be_read_is_tried_again_later(
    error: StorageError, caplog: pytest.LogCaptureFixture
) -> None:
    """Reads go by the proxy; what is no map at all is worth a warning."""
    clock, reader = Clock(), Reader(error, new_map())
    cache = ClusterMapCache(now=clock)
    assert [cache.target_of(OBJECT, reader) for _ in range(2)] == [None, None]
    clock.seconds = 31
    assert (cache.target_of(OBJECT, reader), reader.reads) == (TARGET, 2)
    assert ("read by way of the proxy" in caplog.text) == isinstance(error, IntegrityError)


def test_an_endpoint_that_was_given_up_fails_the_read_at_once() -> None:
    """The read itself would only try as long again."""
    cache = ClusterMapCache()
    with pytest.raises(UnavailableError):
        cache.target_of(OBJECT, Reader(UnavailableError("away", given_up=True)))


def test_a_gateway_holds_all_objects_itself() -> None:
    """Its map has one node, which is the endpoint."""
    cache = ClusterMapCache()
    assert not cache.is_one_node
    reader = Reader(new_map(1, Target("t", 1, "http://p")))
    assert cache.target_of(OBJECT, reader) is None
    assert cache.is_one_node


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_reads_a_map_of_its_own_and_knows_that_nodes_have_come() -> None:
    """A DataLoader forks its workers anew for each epoch, perhaps while another thread reads."""
    cache, reader = ClusterMapCache(MapTimes(fresh_s=0.0)), SlowReader(*map(new_map, range(1, 5)))
    reader.may_end.set()
    cache.target_of(OBJECT, reader)
    cache.recheck(reader)
    assert cache.is_settling
    reader.may_end.clear()
    reader.has_begun.clear()
    thread = threading.Thread(target=cache.recheck, args=(reader,))
    thread.start()
    reader.has_begun.wait()
    pid = os.fork()
    if not pid:
        child_reader = Reader(new_map())
        is_right = cache.is_settling and cache.target_of(OBJECT, child_reader) == TARGET
        os._exit(7 if is_right and child_reader.reads == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    reader.may_end.set()
    thread.join()
