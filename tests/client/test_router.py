"""Router: reads go straight to the target, and by the proxy if that fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import xxhash

from aisio.client.client import Client
from aisio.client.cluster_maps import ClusterMapCache, MapTimes, end_refreshes
from aisio.client.endpoint_state import EndpointState
from aisio.client.router import Router
from aisio.errors import AccessError, NotFoundError
from aisio.records import RetryPolicy, Settings, Timeouts
from aisio.transport.concurrency.pending import PendingGet, offering
from aisio.transport.http.connection_pool import RequestState
from tests import scripted_cluster
from tests.http_server import Reply, Server
from tests.scripted_cluster import DATA, Nodes, client_of, cluster_map


def nodes(
    *answers: Reply,
    times: MapTimes | None = None,
    now: Callable[[], float] = time.monotonic,
    **options: Any,
) -> AbstractContextManager[Nodes]:
    """Start a cluster whose map is read again at each doubt, unless `times` say otherwise."""
    return scripted_cluster.nodes(
        *answers, cache=ClusterMapCache(times or MapTimes(fresh_s=0.0), now), **options
    )


def test_reads_go_straight_to_the_target() -> None:
    """A process reads one map, then sends one request for each object, without the token."""
    with nodes(DATA, DATA) as cluster:
        assert [cluster.item.get(), cluster.item.get()] == [b"data"] * 2
    assert cluster.seen_requests() == (["GET daemon"], ["GET objects", "GET objects"])
    assert cluster.target.requests[0].target == "/v1/objects/b/a%20b?provider=ais"
    assert cluster.target.requests[0].headers["Authorization"] is None


class Clock:
    """A clock whose time passes when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def read_after(cluster: Nodes, clock: Clock, seconds: float) -> bytes:
    """Let time pass, read the object, and wait for the refresh that this may have started."""
    clock.seconds += seconds
    response = Router(cluster.client.session).open("GET", cluster.item.url, {"provider": "ais"})
    data = response.read()
    end_refreshes(None)
    return data


def test_a_newer_map_is_noticed_while_reads_succeed() -> None:
    """After a minute the next read starts a refresh, but uses the old map itself."""
    clock = Clock()
    with nodes(DATA, DATA, now=clock) as cluster, Server(DATA) as newcomer:
        cluster.proxy.replies.append(cluster_map(2, cluster.proxy.url, newcomer.url))
        assert [read_after(cluster, clock, s) for s in (0, 61, 1)] == [b"data"] * 3
        assert len(newcomer.requests) == 1
    assert cluster.seen_requests() == (["GET daemon", "GET daemon"], ["GET objects"] * 2)


def test_a_map_that_has_not_changed_changes_nothing() -> None:
    """The map costs one request for each minute of reading, and none while nobody reads."""
    clock = Clock()
    with nodes(*[DATA] * 5, maps=1, now=clock) as cluster:
        cluster.proxy.replies += [cluster_map(1, cluster.proxy.url, cluster.target.url)] * 2
        for seconds in (0, 59, 2, 58, 600):
            assert read_after(cluster, clock, seconds) == b"data"
    assert cluster.seen_requests() == (["GET daemon"] * 3, ["GET objects"] * 5)


def test_a_proxy_that_is_away_stops_no_read() -> None:
    """Reads go on with the old map, and do not try each time to read a new one."""
    clock = Clock()
    with nodes(*[DATA] * 3, by_proxy=(Reply(503), Reply(503)), now=clock) as cluster:
        assert [read_after(cluster, clock, s) for s in (0, 61, 1)] == [b"data"] * 3
    assert cluster.seen_requests() == (["GET daemon"] * 2, ["GET objects"] * 3)


def test_reads_do_not_wait_for_a_map() -> None:
    """If the proxy does not answer, only the refreshing thread waits for it."""
    clock = Clock()
    with (
        nodes(DATA, DATA, DATA, now=clock) as cluster,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        assert read_after(cluster, clock, 0) == b"data"
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = client_of(Settings(endpoint, timeouts=Timeouts(5, 0.3)), cluster.state)
        clock.seconds = 61
        for _ in range(2):
            response = Router(client.session).open("GET", cluster.item.url, {"provider": "ais"})
            assert response.read() == b"data"
        assert sum(thread.name == "aisio-map" for thread in threading.enumerate()) == 1
        end_refreshes(None)
        client.close()


def test_direct_can_be_switched_off() -> None:
    """Then all requests go to the proxy, and no map is read."""
    with nodes(maps=0, by_proxy=(DATA,)) as cluster:
        client = Client(cluster.proxy.url, direct=False, retry=RetryPolicy(attempts=1))
        assert client.bucket("b").object("a").get() == b"data"
        client.close()
    assert cluster.seen_requests() == (["GET objects"], [])


def test_a_missing_object_with_the_same_map_is_missing() -> None:
    """The map is read once more; the proxy would only name the same target."""
    with nodes(Reply(404), maps=1) as cluster:
        cluster.proxy.replies.append(cluster_map(1, cluster.proxy.url, cluster.target.url))
        with pytest.raises(NotFoundError, match="ais://b/a b"):
            cluster.item.get()
    assert cluster.seen_requests() == (["GET daemon", "GET daemon"], ["GET objects"])


def test_a_missing_object_with_a_newer_map_is_asked_of_the_proxy() -> None:
    """The object may have moved to another node."""
    with nodes(Reply(404), maps=2, by_proxy=(DATA,)) as cluster:
        assert cluster.item.get() == b"data"
    assert cluster.seen_requests() == (["GET daemon", "GET daemon", "GET objects"], ["GET objects"])


def test_a_missing_object_is_looked_for_again_after_nodes_came_or_went() -> None:
    """A node that has just joined answers 404 until it has the object, and so does the proxy."""
    tries = RetryPolicy(attempts=3, first_wait_s=0)
    with nodes(Reply(404), Reply(404), DATA, maps=2, by_proxy=(Reply(404),)) as cluster:
        cluster.proxy.replies += [cluster_map(2, cluster.proxy.url, cluster.target.url), Reply(404)]
        client = cluster.client_with(tries)
        assert client.object(cluster.item.url).get() == b"data"
    daemon, objects = "GET daemon", "GET objects"
    assert cluster.seen_requests() == ([daemon, daemon, objects, daemon, objects], [objects] * 3)


def test_a_missing_object_is_looked_for_again_after_the_proxy_was_away() -> None:
    """A proxy that was restarted does not know all of its targets at once."""
    tries = RetryPolicy(attempts=2, first_wait_s=0)
    with nodes(Reply(404), Reply(404), by_proxy=(Reply(503), Reply(404), DATA)) as cluster:
        client = cluster.client_with(tries)
        assert client.object(cluster.item.url).get() == b"data"


def test_a_map_without_targets_is_that_of_a_proxy_which_has_just_started() -> None:
    """Its version is the same. A read by this proxy gets a 404 for an object that exists."""
    clock = Clock()
    with nodes(DATA, DATA, now=clock) as cluster:
        cluster.proxy.replies += [cluster_map(1, cluster.proxy.url), Reply(404), DATA]
        item = cluster.client_with(RetryPolicy(attempts=2, first_wait_s=0)).object(cluster.item.url)
        assert item.get() == b"data"
        clock.seconds = 61
        assert item.get() == b"data"
        end_refreshes(None)
        assert item.get() == b"data"
    assert cluster.seen_requests() == (
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
    with nodes(DATA) as cluster, Server() as joined:
        moved, stored = stored_at(joined.url)
        cluster.proxy.replies += [moved, cluster_map(2, cluster.proxy.url, joined.url)]
        joined.replies = [stored, Reply(200, b"new")]
        assert cluster.item.get() == b"data"
        cluster.item.put(b"new")
        assert cluster.item.get() == b"new"
    assert cluster.seen_requests() == (["GET daemon", "PUT objects", "GET daemon"], ["GET objects"])


def test_a_proxy_that_has_other_names_for_its_targets_is_checked_once() -> None:
    """Otherwise each PUT would read the map again."""
    with nodes(DATA) as cluster:
        moved, stored = stored_at(cluster.target.url.replace("127.0.0.1", "localhost"))
        cluster.proxy.replies += [
            moved,
            cluster_map(1, cluster.proxy.url, cluster.target.url),
            moved,
        ]
        cluster.target.replies += [stored, stored]
        cluster.item.get()
        cluster.item.put(b"new")
        cluster.item.put(b"new")
    assert cluster.seen_requests()[0] == ["GET daemon", "PUT objects", "GET daemon", "PUT objects"]


def test_a_proxy_that_gathers_its_targets_is_checked_again() -> None:
    """A map of the same version that lacks targets does not mean other addresses."""
    with nodes(DATA) as cluster, Server() as other:
        there, stored = stored_at(other.url)
        here, _ = stored_at(cluster.target.url)
        cluster.proxy.replies += [there, cluster_map(1, cluster.proxy.url, other.url)]
        cluster.proxy.replies += [here, cluster_map(2, cluster.proxy.url, cluster.target.url)]
        other.replies = [stored]
        cluster.target.replies += [stored, Reply(200, b"new")]
        cluster.item.get()
        cluster.item.put(b"new")
        cluster.item.put(b"new")
        assert cluster.item.get() == b"new"


def test_when_tries_end_a_missing_object_is_missing() -> None:
    """A caller that expects NotFoundError, as `exists()` does, need not know of the retries."""
    with nodes(*[Reply(404)] * 3, maps=2, by_proxy=(Reply(404),)) as cluster:
        cluster.proxy.replies += [
            cluster_map(2, cluster.proxy.url, cluster.target.url),
            Reply(404),
        ] * 2
        assert cluster.item.exists() is False
        with pytest.raises(NotFoundError, match="nodes of the cluster have just come or gone"):
            cluster.item.get()


def test_a_map_that_can_never_be_read_makes_no_404_doubtful() -> None:
    """A gateway in front of the cluster may pass requests for objects only."""
    state = EndpointState(ClusterMapCache(MapTimes(retry_after_s=0.0)))
    hidden, missing = Reply(503), Reply(404)
    with Server(*[hidden, missing] * 4) as proxy:
        tries = RetryPolicy(attempts=2, first_wait_s=0)
        client = client_of(Settings(proxy.url, retry=tries), state)
        for _ in range(2):
            assert client.object("ais://b/o").exists() is False
        client.close()


def test_a_cluster_that_refuses_direct_reads_makes_no_404_doubtful() -> None:
    """Its proxy is right at once: a missing object is not looked for again."""
    times = MapTimes(retry_after_s=0.0)
    with nodes(Reply(403), by_proxy=(DATA, Reply(404)), times=times) as cluster:
        tries = RetryPolicy(attempts=2, first_wait_s=0)
        client = cluster.client_with(tries)
        item = client.object(cluster.item.url)
        assert item.get() == b"data"
        with pytest.raises(NotFoundError, match="404$"):
            item.get()


def test_a_missing_object_is_missing_once_the_cluster_has_settled() -> None:
    """The error no longer says that nodes have come or gone."""
    times, missing = MapTimes(fresh_s=0.0, settling_s=0.0), Reply(404, b"no such object")
    with (
        nodes(Reply(404), maps=2, by_proxy=(missing,), times=times) as cluster,
        pytest.raises(NotFoundError, match="no such object$"),
    ):
        cluster.item.get()


def test_many_missing_objects_are_not_many_maps() -> None:
    """A map that was just read is not read again."""
    with nodes(*[Reply(404)] * 3, times=MapTimes(fresh_s=3600.0)) as cluster:
        for _ in range(3):
            with pytest.raises(NotFoundError):
                cluster.item.get()
    assert cluster.seen_requests() == (["GET daemon"], ["GET objects"] * 3)


def test_a_target_that_is_down_is_avoided() -> None:
    """A refused connection has the map read once more, and the next read avoids the target."""
    with nodes(maps=2, by_proxy=(DATA, DATA)) as cluster:
        cluster.target.shutdown()
        cluster.target.server_close()
        assert [cluster.item.get(), cluster.item.get()] == [b"data"] * 2
    assert cluster.seen_requests()[0] == ["GET daemon", "GET daemon", "GET objects", "GET objects"]


def test_a_dropped_kept_connection_is_replaced_at_once() -> None:
    """Servers close idle connections as they like: this needs neither a new map nor the proxy."""
    with nodes(DATA, Reply(0), DATA, DATA) as cluster:
        assert [cluster.item.get() for _ in range(3)] == [b"data"] * 3
    assert cluster.seen_requests() == (["GET daemon"], ["GET objects"] * 4)


def test_a_target_that_breaks_off_is_asked_again_next_time() -> None:
    """Only that one read goes by the proxy: a target that can be reached is not avoided."""
    with nodes(Reply(0), DATA, maps=2, by_proxy=(DATA,)) as cluster:
        assert [cluster.item.get(), cluster.item.get()] == [b"data"] * 2
    assert cluster.seen_requests()[0] == ["GET daemon", "GET daemon", "GET objects"]
    assert cluster.seen_requests()[1] == ["GET objects", "GET objects"]


def test_a_map_that_cannot_be_read_again_leaves_the_old_one() -> None:
    """The map is not tried again so soon. For a missing object the proxy is asked."""
    with nodes(Reply(404), Reply(404), DATA, by_proxy=(Reply(503), DATA, DATA)) as cluster:
        assert [cluster.item.get() for _ in range(3)] == [b"data"] * 3
    assert cluster.seen_requests()[0] == ["GET daemon", "GET daemon", "GET objects", "GET objects"]
    assert cluster.seen_requests()[1] == ["GET objects"] * 3


def test_a_map_that_could_not_be_read_again_is_read_later() -> None:
    """After a while the map is tried again."""
    clock = Clock()
    with nodes(Reply(404), Reply(404), by_proxy=(Reply(503), DATA), now=clock) as cluster:
        assert cluster.item.get() == b"data"
        clock.seconds = 31
        cluster.proxy.replies.append(cluster_map(1, cluster.proxy.url, cluster.target.url))
        with pytest.raises(NotFoundError):
            cluster.item.get()
    assert cluster.seen_requests()[0] == ["GET daemon", "GET daemon", "GET objects", "GET daemon"]


def test_threads_that_begin_together_read_one_map() -> None:
    """One of them reads it, the others wait."""
    count = 8
    with nodes(*[DATA] * count) as cluster:
        together = threading.Barrier(count)
        got: list[bytes] = []

        def read() -> None:
            together.wait()
            got.append(cluster.item.get())
            cluster.client.session.close()

        threads = [threading.Thread(target=read) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [b"data"] * count
    assert cluster.seen_requests() == (["GET daemon"], ["GET objects"] * count)


def redirect(cluster: Nodes, signature: str) -> Reply:
    """Return a redirect to the cluster's target, as the proxy signs it."""
    path = "/v1/objects/b/a%20b?pid=p&provider=ais"
    return Reply(301, headers={"Location": f"{cluster.target.url}{path}&u={signature}"})


def targets_of(server: Server) -> list[str]:
    """Return the last parameter of each request's query."""
    return [request.target.rpartition("&")[2] for request in server.requests]


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(403, b"direct target access denied"),
        Reply(401, b"direct target access denied"),
        Reply(400, b"not an intra-control request"),
    ],
)
def test_a_cluster_that_refuses_direct_reads_is_read_by_redirects(refusal: Reply) -> None:
    """The first read finds out. Each object is redirected once; a read follows that again."""
    with nodes(refusal, *[DATA] * 3) as cluster:
        cluster.proxy.replies.append(redirect(cluster, "1"))
        assert [cluster.item.get() for _ in range(3)] == [b"data"] * 3
    assert cluster.seen_requests() == (["GET daemon", "GET objects"], ["GET objects"] * 4)
    assert targets_of(cluster.target)[1:] == ["u=1"] * 3
    assert all(request.headers["Authorization"] is None for request in cluster.target.requests)


@pytest.mark.parametrize(
    "refusal",
    [Reply(401, b"node signature verification failed"), Reply(403), Reply(404)],
)
def test_a_redirect_that_is_of_no_use_any_more_is_replaced(refusal: Reply) -> None:
    """A node was restarted with a new key, or the object has moved: the proxy is asked again."""
    with nodes(Reply(403), DATA, refusal, DATA, DATA) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), redirect(cluster, "2")]
        assert [cluster.item.get() for _ in range(3)] == [b"data"] * 3
    assert targets_of(cluster.target)[1:] == ["u=1", "u=1", "u=2", "u=2"]


def test_a_read_goes_on_by_a_new_redirect_when_the_signature_has_expired() -> None:
    """The body breaks off, and the target accepts the old signature no more."""
    checksum = xxhash.xxh64_hexdigest(b"data")
    headers = {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": checksum}
    cut = Reply(200, b"da", {**headers, "Content-Length": "4"})
    rest = Reply(206, b"ta", {**headers, "Content-Range": "bytes 2-3/4"})
    expired = Reply(401, b"node signature verification failed")
    with nodes(Reply(403), cut, expired, rest, attempts=3) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), redirect(cluster, "2")]
        assert cluster.item.get() == b"data"
    assert targets_of(cluster.target)[1:] == ["u=1", "u=1", "u=2"]
    assert cluster.target.requests[-1].headers["Range"] == "bytes=2-"


def test_a_read_is_sent_ahead_to_where_its_redirect_led() -> None:
    """As other reads to a target; a redirect that is refused meanwhile is replaced."""
    refused = Reply(401, b"node signature verification failed")
    with nodes(Reply(403), DATA, DATA, refused, DATA) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), redirect(cluster, "2")]
        assert cluster.item.get() == b"data"
        for _ in range(2):
            pending = cluster.item.send_ahead()
            assert pending is not None
            with offering(pending):
                assert cluster.item.get() == b"data"
    assert targets_of(cluster.target)[1:] == ["u=1", "u=1", "u=1", "u=2"]


def sent_to_proxy(cluster: Nodes, *replies: Reply) -> PendingGet:
    """Have the cluster refuse a direct read, then send one ahead, and wait for the redirect."""
    cluster.proxy.replies += [redirect(cluster, "1"), *replies]
    assert cluster.item.get() == b"data"
    pending = cluster.client.object("ais://b/other").send_ahead()
    assert pending is not None
    while pending.state is RequestState.UNANSWERED:
        pass
    return pending


def read_other(cluster: Nodes, pending: PendingGet) -> bytes:
    """Read what was sent ahead."""
    with offering(pending):
        return cluster.client.object("ais://b/other").get()


def test_a_request_that_was_sent_ahead_is_sent_on_when_its_redirect_comes() -> None:
    """Before anybody reads; the token stays with the proxy."""
    with nodes(Reply(403), DATA, Reply(200, b"other")) as cluster:
        pending = sent_to_proxy(cluster, redirect(cluster, "2"))
        pending.advance()
        cluster.target.wait_for_requests(3)
        pending.advance()
        assert read_other(cluster, pending) == b"other"
    assert cluster.proxy.requests[-1].headers["Authorization"] == "Bearer s3cret"
    assert targets_of(cluster.target)[1:] == ["u=1", "u=2"]
    assert all(request.headers["Authorization"] is None for request in cluster.target.requests)


def test_a_redirect_that_nobody_has_followed_is_followed_by_the_read() -> None:
    """The read's turn may come at once."""
    with nodes(Reply(403), DATA, Reply(200, b"other")) as cluster:
        pending = sent_to_proxy(cluster, redirect(cluster, "2"))
        assert read_other(cluster, pending) == b"other"
    assert len(cluster.proxy.requests) == 3


def test_what_the_proxy_refuses_ahead_is_the_error_of_the_read() -> None:
    """With one more request: the answer may have changed."""
    with nodes(Reply(403), DATA) as cluster:
        pending = sent_to_proxy(cluster, Reply(404), Reply(404))
        pending.advance()
        with pytest.raises(NotFoundError):
            read_other(cluster, pending)
    assert cluster.seen_requests()[0].count("GET objects") == 3


def test_a_redirect_serves_only_the_same_query() -> None:
    """A later release may sign the query as well."""
    with nodes(Reply(403), DATA, DATA) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), redirect(cluster, "2")]
        assert cluster.item.get() == cluster.item.get(etl_name="e") == b"data"
    assert targets_of(cluster.target)[1:] == ["u=1", "u=2"]


def test_a_new_signature_that_the_target_does_not_know_yet_is_tried_again() -> None:
    """The proxy was restarted with a new key, which reaches the targets a moment later."""
    unknown = Reply(401, b"node signature verification failed")
    with nodes(Reply(403), unknown, DATA, attempts=3) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), redirect(cluster, "2")]
        retry = RetryPolicy(attempts=2, first_wait_s=0)
        assert cluster.client_with(retry).object(cluster.item.url).get() == b"data"


def test_a_redirect_is_followed_again_where_the_map_is_hidden() -> None:
    """A token may allow to read a bucket, but not to see the cluster."""
    with nodes(DATA, DATA, maps=0, by_proxy=(Reply(403),)) as cluster:
        cluster.proxy.replies.append(redirect(cluster, "1"))
        assert [cluster.item.get(), cluster.item.get()] == [b"data"] * 2
    assert cluster.seen_requests() == (["GET daemon", "GET objects"], ["GET objects"] * 2)


def test_a_client_that_is_not_direct_asks_the_proxy_each_time() -> None:
    """That is what it is for."""
    with nodes(DATA, DATA, maps=0) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), redirect(cluster, "2")]
        cluster.state.redirects.require()
        client = client_of(Settings(cluster.proxy.url, direct=False), cluster.state)
        assert client.object(cluster.item.url).send_ahead() is None
        assert [client.object(cluster.item.url).get() for _ in range(2)] == [b"data"] * 2
        client.close()
    assert targets_of(cluster.target) == ["u=1", "u=2"]


def test_what_the_proxy_refuses_too_says_nothing_of_the_cluster() -> None:
    """A cloud's 403, which a target passes on: other objects are still read directly."""
    with nodes(Reply(403), DATA, by_proxy=(Reply(403),)) as cluster:
        with pytest.raises(AccessError):
            cluster.item.get()
        assert cluster.item.get() == b"data"
    assert cluster.seen_requests() == (["GET daemon", "GET objects"], ["GET objects"] * 2)


def test_a_missing_object_of_a_secured_cluster_is_missing() -> None:
    """Whether or not an earlier redirect to it is known."""
    with nodes(Reply(403), DATA, Reply(404)) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), Reply(404)]
        assert cluster.item.get() == b"data"
        with pytest.raises(NotFoundError):
            cluster.item.get()


def test_a_missing_object_is_looked_for_again_where_reads_begin_at_the_proxy() -> None:
    """It redirects to a target that has just joined, which does not find what others have."""
    with nodes(Reply(403), DATA, Reply(404), DATA) as cluster:
        cluster.proxy.replies += [
            redirect(cluster, "1"),
            redirect(cluster, "2"),
            cluster_map(2, cluster.proxy.url, cluster.target.url),
            redirect(cluster, "3"),
        ]
        assert cluster.item.get() == b"data"
        client = cluster.client_with(RetryPolicy(attempts=2, first_wait_s=0))
        assert client.object("ais://b/other").get() == b"data"
        client.close()
    assert targets_of(cluster.target)[1:] == ["u=1", "u=2", "u=3"]


def test_a_redirect_elsewhere_than_the_map_says_makes_a_404_doubtful() -> None:
    """Also where the map was read a moment ago."""
    with (
        nodes(Reply(403), DATA, times=MapTimes(fresh_s=3600.0)) as cluster,
        Server(Reply(404), Reply(200, b"other")) as joined,
    ):
        there = Reply(301, headers={"Location": f"{joined.url}/v1/objects/b/other?u=2"})
        new_map = cluster_map(2, cluster.proxy.url, cluster.target.url, joined.url)
        cluster.proxy.replies += [redirect(cluster, "1"), there, new_map, there]
        assert cluster.item.get() == b"data"
        client = cluster.client_with(RetryPolicy(attempts=2, first_wait_s=0))
        assert client.object("ais://b/other").get() == b"other"
        client.close()


def test_a_map_is_kept_fresh_where_reads_begin_at_the_proxy() -> None:
    """A worker that inherits the knowledge of refusals compares later maps with its own."""
    clock = Clock()
    with nodes(*[DATA] * 3, now=clock) as cluster:
        cluster.state.redirects.require()
        cluster.proxy.replies += [
            redirect(cluster, "1"),
            cluster_map(1, cluster.proxy.url, cluster.target.url),
            cluster_map(2, cluster.proxy.url, cluster.target.url),
            redirect(cluster, "2"),
        ]
        assert cluster.item.get() == b"data"
        clock.seconds = 61.0
        assert cluster.item.get() == b"data"
        end_refreshes(None)
        assert not cluster.state.maps.is_settling
        clock.seconds = 122.0
        assert cluster.item.get() == b"data"
        end_refreshes(None)
        assert cluster.state.maps.is_settling
        assert cluster.seen_requests()[0].count("GET daemon") == 3


def test_a_redirect_serves_only_the_client_that_it_was_given_to() -> None:
    """The proxy refuses the token of the other."""
    with nodes(Reply(403), DATA) as cluster:
        cluster.proxy.replies += [redirect(cluster, "1"), Reply(401, b"token required")]
        assert cluster.item.get() == b"data"
        other = client_of(Settings(cluster.proxy.url, retry=RetryPolicy(attempts=1)), cluster.state)
        with pytest.raises(AccessError, match="token required"):
            other.object(cluster.item.url).get()
        other.close()


def test_what_was_written_elsewhere_is_not_read_where_an_earlier_redirect_led() -> None:
    """That target may still have the old version; the map, which would tell, is hidden."""
    with nodes(DATA, maps=0, by_proxy=(Reply(403),)) as cluster, Server() as joined:
        moved, stored = stored_at(joined.url)
        there = Reply(301, headers={"Location": f"{joined.url}/v1/objects/b/a%20b?u=2"})
        cluster.proxy.replies += [redirect(cluster, "1"), moved, there]
        joined.replies = [stored, Reply(200, b"new")]
        assert cluster.item.get() == b"data"
        cluster.item.put(b"new")
        assert cluster.item.get() == b"new"


def test_a_cluster_that_hides_its_map_is_read_by_the_proxy() -> None:
    """Some tokens may read objects, but not the map."""
    with nodes(maps=0, by_proxy=(Reply(403), DATA, DATA)) as cluster:
        assert [cluster.item.get(), cluster.item.get()] == [b"data"] * 2
    assert cluster.seen_requests() == (["GET daemon", "GET objects", "GET objects"], [])


def test_head_goes_straight_too() -> None:
    """A HEAD uses the map as a GET does."""
    with nodes(Reply(200, headers={"Content-Length": "4"})) as cluster:
        assert cluster.item.head().size_bytes == 4
    assert cluster.seen_requests() == (["GET daemon"], ["HEAD objects"])
