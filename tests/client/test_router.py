"""Router: straight to the target, and what happens where that fails."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace

import pytest
import xxhash

from aisio.client import router as cluster
from aisio.client.client import Client
from aisio.client.router import Router
from aisio.errors import NotFoundError
from aisio.records import RetryPolicy, Settings, Timeouts
from tests.http_server import Reply, Server
from tests.scripted_cluster import DATA, Nodes, cluster_map, nodes


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without knowing any cluster, and read maps as often as the rules say."""
    monkeypatch.setattr(cluster, "_known", {})
    monkeypatch.setattr(cluster, "_changed_at", {})
    monkeypatch.setattr(cluster, "FRESH_S", 0.0)


def test_reads_go_straight_to_the_target() -> None:
    """One map a process, then one request an object, without the token."""
    with nodes(DATA, DATA) as found:
        assert [found.item.get(), found.item.get()] == [b"data"] * 2
    assert found.asked() == (["GET daemon"], ["GET objects", "GET objects"])
    assert found.target.requests[0].target == "/v1/objects/b/a%20b?provider=ais"
    assert found.target.requests[0].headers["Authorization"] is None


class Clock:
    """Seconds that pass when told to."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def read_after(found: Nodes, clock: Clock, seconds: float) -> bytes:
    """Let time pass, read the object, and let what that has begun come to its end."""
    clock.seconds += seconds
    requests = found.client.session
    reply = Router(requests, clock).open("GET", found.item.url, {"provider": "ais"})
    data = reply.read()
    cluster.end_refreshes()
    return data


def test_a_newer_map_is_noticed_while_reads_succeed() -> None:
    """After a minute the next read has it read again, and goes on with the old one itself."""
    with nodes(DATA, DATA) as found, Server(DATA) as newcomer:
        found.proxy.replies.append(cluster_map(2, found.proxy.url, newcomer.url))
        clock = Clock()
        assert [read_after(found, clock, s) for s in (0, 61, 1)] == [b"data"] * 3
        assert len(newcomer.requests) == 1
    assert found.asked() == (["GET daemon", "GET daemon"], ["GET objects"] * 2)


def test_a_map_that_has_not_changed_changes_nothing() -> None:
    """One request a minute of reading, and none while nobody reads."""
    with nodes(*[DATA] * 5, maps=1) as found:
        found.proxy.replies += [cluster_map(1, found.proxy.url, found.target.url)] * 2
        clock = Clock()
        for seconds in (0, 59, 2, 58, 600):
            assert read_after(found, clock, seconds) == b"data"
    assert found.asked() == (["GET daemon"] * 3, ["GET objects"] * 5)


def test_a_proxy_that_is_away_stops_no_read() -> None:
    """The old map goes on to be used, and is not asked for with each read."""
    with nodes(*[DATA] * 3, by_proxy=(Reply(503), Reply(503))) as found:
        clock = Clock()
        assert [read_after(found, clock, s) for s in (0, 61, 1)] == [b"data"] * 3
    assert found.asked() == (["GET daemon"] * 2, ["GET objects"] * 3)


def test_reads_do_not_wait_for_a_map() -> None:
    """A proxy that does not answer is waited for by one thread, which is no read's."""
    with nodes(DATA, DATA, DATA) as found, socket.create_server(("127.0.0.1", 0)) as silent:
        clock = Clock()
        assert read_after(found, clock, 0) == b"data"
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        pid = os.getpid()
        cluster._known[pid, endpoint] = cluster._known.pop((pid, found.proxy.url))
        client = Client.from_settings(Settings(endpoint, timeouts=Timeouts(5, 0.3)))
        clock.seconds = 61
        for _ in range(2):
            reply = Router(client.session, clock).open("GET", found.item.url, {"provider": "ais"})
            assert reply.read() == b"data"
        assert sum(thread.name == "aisio-map" for thread in threading.enumerate()) == 1
        cluster.end_refreshes()
        client.close()


def test_direct_can_be_switched_off() -> None:
    """Then everything goes by way of the proxy, and no map is read."""
    with nodes(maps=0, by_proxy=(DATA,)) as found:
        client = Client(found.proxy.url, direct=False, retry=RetryPolicy(attempts=1))
        assert client.bucket("b").object("a").get() == b"data"
        client.close()
    assert found.asked() == (["GET objects"], [])


def test_a_missing_object_with_the_same_map_is_missing() -> None:
    """The map is read once more; the proxy would only name the same target."""
    with nodes(Reply(404), maps=1) as found:
        found.proxy.replies.append(cluster_map(1, found.proxy.url, found.target.url))
        with pytest.raises(NotFoundError, match="ais://b/a b"):
            found.item.get()
    assert found.asked() == (["GET daemon", "GET daemon"], ["GET objects"])


def test_a_missing_object_with_a_newer_map_is_asked_of_the_proxy() -> None:
    """The object may have moved to another node."""
    with nodes(Reply(404), maps=2, by_proxy=(DATA,)) as found:
        assert found.item.get() == b"data"
    assert found.asked() == (["GET daemon", "GET daemon", "GET objects"], ["GET objects"])


def test_a_missing_object_is_looked_for_again_after_nodes_came_or_went() -> None:
    """A node that has just joined answers 404 for what it will have, and so then does the proxy."""
    tries = RetryPolicy(attempts=3, first_wait_s=0)
    with nodes(Reply(404), Reply(404), DATA, maps=2, by_proxy=(Reply(404),)) as found:
        found.proxy.replies += [cluster_map(2, found.proxy.url, found.target.url), Reply(404)]
        client = Client.from_settings(replace(found.client.settings, retry=tries))
        assert client.object(found.item.url).get() == b"data"
    daemon, objects = "GET daemon", "GET objects"
    assert found.asked() == ([daemon, daemon, objects, daemon, objects], [objects] * 3)


def test_a_missing_object_is_looked_for_again_after_the_proxy_was_away() -> None:
    """A proxy that was restarted does not know all of its targets at once."""
    tries = RetryPolicy(attempts=2, first_wait_s=0)
    with nodes(Reply(404), Reply(404), by_proxy=(Reply(503), Reply(404), DATA)) as found:
        client = Client.from_settings(replace(found.client.settings, retry=tries))
        assert client.object(found.item.url).get() == b"data"


def test_a_map_without_targets_is_that_of_a_proxy_which_has_just_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the same version as before; who is sent by it gets a 404 for what there is."""
    monkeypatch.setattr(cluster, "REFRESHED_S", 0.0)
    tries = RetryPolicy(attempts=2, first_wait_s=0)
    with nodes(DATA, DATA) as found:
        found.proxy.replies += [cluster_map(1, found.proxy.url), Reply(404), DATA]
        client = Client.from_settings(replace(found.client.settings, retry=tries))
        item = client.object(found.item.url)
        assert [item.get(), item.get()] == [b"data"] * 2
        cluster.end_refreshes()
        monkeypatch.setattr(cluster, "REFRESHED_S", 60.0)
        assert item.get() == b"data"
    assert found.asked() == (
        ["GET daemon", "GET daemon", "GET objects", "GET objects"],
        ["GET objects"] * 2,
    )


def stored_at(address: str) -> tuple[Reply, Reply]:
    """Return a proxy's answer to a PUT of b"new", and that of the node at the address it names."""
    sums = {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": xxhash.xxh64_hexdigest(b"new")}
    moved = {"Location": f"{address}/v1/objects/b/a%20b"}
    return Reply(307, headers=moved, unread=True), Reply(200, b"", sums)


def test_what_was_written_is_read_where_it_was_written() -> None:
    """A node has joined since the map was read: the old one may still have an older version."""
    with nodes(DATA) as found, Server() as joined:
        moved, stored = stored_at(joined.url)
        found.proxy.replies += [moved, cluster_map(2, found.proxy.url, joined.url)]
        joined.replies = [stored, Reply(200, b"new")]
        assert found.item.get() == b"data"
        found.item.put(b"new")
        assert found.item.get() == b"new"
    assert found.asked() == (["GET daemon", "PUT objects", "GET daemon"], ["GET objects"])


def test_a_proxy_that_has_other_names_for_its_targets_is_heeded_once() -> None:
    """Else each PUT would have the map read again."""
    with nodes(DATA) as found:
        moved, stored = stored_at(found.target.url.replace("127.0.0.1", "localhost"))
        found.proxy.replies += [moved, cluster_map(1, found.proxy.url, found.target.url), moved]
        found.target.replies += [stored, stored]
        found.item.get()
        found.item.put(b"new")
        found.item.put(b"new")
    assert found.asked()[0] == ["GET daemon", "PUT objects", "GET daemon", "PUT objects"]


def test_a_proxy_that_gathers_its_targets_is_heeded_later() -> None:
    """A map of the old version that lacks targets is no sign of other names."""
    with nodes(DATA) as found, Server() as other:
        there, stored = stored_at(other.url)
        here, _ = stored_at(found.target.url)
        found.proxy.replies += [there, cluster_map(1, found.proxy.url, other.url)]
        found.proxy.replies += [here, cluster_map(2, found.proxy.url, found.target.url)]
        other.replies = [stored]
        found.target.replies += [stored, Reply(200, b"new")]
        found.item.get()
        found.item.put(b"new")
        found.item.put(b"new")
        assert found.item.get() == b"new"


def test_when_tries_end_a_missing_object_is_missing() -> None:
    """Whoever expects that, as `exists()` does, need not know why it was looked for again."""
    with nodes(*[Reply(404)] * 3, maps=2, by_proxy=(Reply(404),)) as found:
        found.proxy.replies += [cluster_map(2, found.proxy.url, found.target.url), Reply(404)] * 2
        assert found.item.exists() is False
        with pytest.raises(NotFoundError, match="nodes of the cluster have just come or gone"):
            found.item.get()


def test_a_map_that_can_never_be_read_makes_no_404_doubtful(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As behind a gate that lets objects through, and nothing else."""
    monkeypatch.setattr(cluster, "AVOIDED_S", 0.0)
    hidden, missing = Reply(503), Reply(404)
    with Server(*[hidden, missing] * 4) as proxy:
        tries = RetryPolicy(attempts=2, first_wait_s=0)
        client = Client.from_settings(Settings(proxy.url, retry=tries))
        for _ in range(2):
            assert client.object("ais://b/o").exists() is False
        client.close()


def test_a_map_that_is_of_no_use_makes_no_404_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that signs its requests answers 403 at its targets, each time it is tried again."""
    monkeypatch.setattr(cluster, "AVOIDED_S", 0.0)
    with nodes(Reply(403), Reply(403), by_proxy=(DATA,)) as found:
        found.proxy.replies += [cluster_map(1, found.proxy.url, found.target.url), Reply(404)]
        tries = RetryPolicy(attempts=2, first_wait_s=0)
        client = Client.from_settings(replace(found.client.settings, retry=tries))
        item = client.object(found.item.url)
        assert item.get() == b"data"
        with pytest.raises(NotFoundError, match="404$"):
            item.get()


def test_a_fork_knows_that_nodes_have_come_or_gone() -> None:
    """A DataLoader forks its workers anew for each epoch."""
    with nodes(Reply(404), maps=2, by_proxy=(DATA,)) as found:
        assert found.item.get() == b"data"
        assert Router(found.client.session)._is_settling()
        cluster._known.clear()  # as its key, with another process id, finds nothing
        assert Router(found.client.session)._is_settling()


def test_a_missing_object_is_missing_once_the_cluster_has_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says at last what it is."""
    monkeypatch.setattr(cluster, "SETTLES_S", 0.0)
    with (
        nodes(Reply(404), maps=2, by_proxy=(Reply(404, b"no such object"),)) as found,
        pytest.raises(NotFoundError, match="no such object$"),
    ):
        found.item.get()


def test_many_missing_objects_are_not_many_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map that was just read is not read again."""
    monkeypatch.setattr(cluster, "FRESH_S", 3600.0)
    with nodes(*[Reply(404)] * 3) as found:
        for _ in range(3):
            with pytest.raises(NotFoundError):
                found.item.get()
    assert found.asked() == (["GET daemon"], ["GET objects"] * 3)


def test_a_target_that_is_down_is_left_to_the_proxy() -> None:
    """A refused connection costs one more map, and the next read does not try it again."""
    with nodes(maps=2, by_proxy=(DATA, DATA)) as found:
        found.target.shutdown()
        found.target.server_close()
        assert [found.item.get(), found.item.get()] == [b"data"] * 2
    assert found.asked()[0] == ["GET daemon", "GET daemon", "GET objects", "GET objects"]


def test_a_dropped_kept_connection_is_replaced_at_once() -> None:
    """Servers close idle connections as they like: neither map nor proxy is asked."""
    with nodes(DATA, Reply(0), DATA, DATA) as found:
        assert [found.item.get() for _ in range(3)] == [b"data"] * 3
    assert found.asked() == (["GET daemon"], ["GET objects"] * 4)


def test_a_target_that_breaks_off_is_asked_again_next_time() -> None:
    """The proxy helps with that one read; who can be reached is not avoided."""
    with nodes(Reply(0), DATA, maps=2, by_proxy=(DATA,)) as found:
        assert [found.item.get(), found.item.get()] == [b"data"] * 2
    assert found.asked()[0] == ["GET daemon", "GET daemon", "GET objects"]
    assert found.asked()[1] == ["GET objects", "GET objects"]


def test_a_map_that_cannot_be_read_again_leaves_the_old_one() -> None:
    """It is not asked for again so soon; in doubt about a missing object the proxy is asked."""
    with nodes(Reply(404), Reply(404), DATA, by_proxy=(Reply(503), DATA, DATA)) as found:
        assert [found.item.get() for _ in range(3)] == [b"data"] * 3
    assert found.asked()[0] == ["GET daemon", "GET daemon", "GET objects", "GET objects"]
    assert found.asked()[1] == ["GET objects"] * 3


def test_a_map_that_could_not_be_read_again_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the map is asked for again."""
    with nodes(Reply(404), Reply(404), by_proxy=(Reply(503), DATA)) as found:
        assert found.item.get() == b"data"
        monkeypatch.setattr(cluster, "AVOIDED_S", 0.0)
        monkeypatch.setattr(cluster, "SETTLES_S", 0.0)
        found.proxy.replies.append(cluster_map(1, found.proxy.url, found.target.url))
        with pytest.raises(NotFoundError):
            found.item.get()
    assert found.asked()[0] == ["GET daemon", "GET daemon", "GET objects", "GET daemon"]


def test_threads_that_begin_together_read_one_map() -> None:
    """One asks, the others wait for its answer."""
    count = 8
    with nodes(*[DATA] * count) as found:
        together = threading.Barrier(count)
        got: list[bytes] = []

        def read() -> None:
            together.wait()
            got.append(found.item.get())
            found.client.session.close()

        threads = [threading.Thread(target=read) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [b"data"] * count
    assert found.asked() == (["GET daemon"], ["GET objects"] * count)


def test_a_cluster_that_signs_its_requests_is_read_by_the_proxy() -> None:
    """403 at a target: only the proxy's redirect will do, from now on."""
    with nodes(Reply(403), by_proxy=(DATA, DATA)) as found:
        assert [found.item.get(), found.item.get()] == [b"data"] * 2
    assert found.asked() == (["GET daemon", "GET objects", "GET objects"], ["GET objects"])


def test_a_cluster_that_hides_its_map_is_read_by_the_proxy() -> None:
    """Some tokens may read objects and not the map."""
    with nodes(maps=0, by_proxy=(Reply(403), DATA, DATA)) as found:
        assert [found.item.get(), found.item.get()] == [b"data"] * 2
    assert found.asked() == (["GET daemon", "GET objects", "GET objects"], [])


def test_head_goes_straight_too() -> None:
    """Whatever reads knows the way."""
    with nodes(Reply(200, headers={"Content-Length": "4"})) as found:
        assert found.item.head().size_bytes == 4
    assert found.asked() == (["GET daemon"], ["HEAD objects"])


def test_a_map_whose_answer_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads go by the proxy until it can be read."""
    monkeypatch.setattr(cluster, "MAP_WAIT_S", 0.01)
    with nodes(maps=0, by_proxy=(DATA,)) as found:
        lock = cluster._reading[os.getpid(), found.proxy.url] = threading.Lock()
        with lock:
            assert found.item.get() == b"data"
    assert found.asked() == (["GET objects"], [])
