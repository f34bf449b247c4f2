"""Requests that are sent ahead: each read gets its response, and nothing is left behind."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from aisio import stats
from aisio.catalog.entries import NamedSource
from aisio.errors import (
    IntegrityError,
    NotFoundError,
    StorageError,
    StoreTimeoutError,
    ThrottledError,
    UnavailableError,
)
from aisio.records import (
    MAX_CONCURRENT_READS,
    ByteRange,
    Concurrency,
    RetryPolicy,
    Settings,
    Timeouts,
)
from aisio.sources.resolve import source
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet, count_pending, offering
from aisio.transport.concurrency.threads import end_idle_threads
from aisio.transport.http.connection_pool import RequestState
from aisio.transport.retries import (
    Attempts,
    Waiter,
    report_failed_try,
    retry,
)
from tests.http_server import Reply, Server
from tests.scripted_cluster import DATA, Nodes, client_of, cluster_map, nodes

PART = Reply(206, b"at", {"Content-Range": "bytes 1-2/4"})
OTHER = Reply(200, b"other")


def send_ahead(found: Nodes, byte_range: ByteRange | None = None) -> PendingGet:
    """Send the request for the object ahead, and wait until its target has it."""
    pending = found.item.send_ahead(byte_range)
    assert pending is not None
    found.target.wait_for_requests(1)
    return pending


def test_the_request_goes_ahead_and_the_read_takes_its_answer() -> None:
    """One request in all, which has arrived before anybody reads."""
    with nodes(DATA) as found:
        with offering(send_ahead(found)):
            assert found.item.get() == b"data"
        assert found.seen_requests() == (["GET daemon"], ["GET objects"])


def test_an_interrupt_leaves_no_request_on_offer() -> None:
    """Wherever it comes while a `with` begins: a later read would take another's response."""
    with nodes(DATA, DATA) as found:
        pending = send_ahead(found)
        block = offering(pending)

        def interrupt(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code is offering.__enter__.__code__ and event == "line":
                interrupts.append(frame.f_lineno)
                if len(interrupts) == 3:
                    raise KeyboardInterrupt
            return interrupt

        interrupts: list[int] = []
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            with pytest.raises(KeyboardInterrupt), block:
                pass
        finally:
            sys.settrace(before)
        assert count_pending() == 0
        assert found.item.get() == b"data"


def test_an_answer_is_taken_once() -> None:
    """The second read of an object sends a request of its own."""
    with nodes(DATA, OTHER) as found:
        with offering(send_ahead(found)):
            assert [found.item.get(), found.item.get()] == [b"data", b"other"]
        assert len(found.target.requests) == 2


def test_another_read_does_not_take_it() -> None:
    """Neither of a part, nor of another object; an answer that nobody takes is cut."""
    with nodes(DATA, PART, OTHER, DATA) as found:
        pending = send_ahead(found)
        with offering(pending):
            assert found.item.get(start=1, stop=3) == b"at"
            assert found.client.bucket("b").object("c").get() == b"other"
        with offering(pending):
            assert found.item.get() == b"data"
        assert len(found.target.requests) == 4


@pytest.mark.parametrize("given", [None, "own"])
def test_a_source_sends_ahead_what_it_reads(given: str | None) -> None:
    """Also where the objects are transformed, as its catalog or the reader says."""
    with nodes(DATA) as found:
        entry = NamedSource(tag="t/s", urls=("ais://b/a",), etl_name=None if given else "its")
        one = source(entry, client=found.client)
        info = next(one.list())
        pending = one.send_ahead(info, etl_name=given)
        assert pending is not None
        with offering(pending):
            assert one.read(info, etl_name=given) == b"data"
        assert [request.target for request in found.target.requests] == [
            f"/v1/objects/b/a?provider=ais&etl_name={given or 'its'}"
        ]


def test_a_range_can_be_sent_ahead() -> None:
    """As of an archive, for one of its members."""
    with nodes(PART) as found:
        part = ByteRange(1, 3)
        with offering(send_ahead(found, part)), found.item.stream(part) as body:
            assert body.read() == b"at"
        assert len(found.target.requests) == 1


def test_a_response_that_broke_meanwhile_is_requested_again_at_once() -> None:
    """It cost no try: nobody was waiting for it yet."""
    with nodes(Reply(0), DATA) as found:
        with offering(send_ahead(found)):
            assert found.item.get() == b"data"
        assert len(found.target.requests) == 2


@pytest.mark.parametrize("scheme", ["https", "http, by the proxy"])
def test_what_cannot_wait_is_not_sent_ahead(scheme: str) -> None:
    """Only plain http straight to a target can."""
    with Server() as proxy:
        proxy.replies = [cluster_map(1, proxy.url, "https://127.0.0.1:9")]
        settings = Settings(proxy.url, direct=scheme == "https")
        with closing(client_of(settings)) as client:
            assert client.bucket("b").object("a").send_ahead() is None


def test_requests_to_a_gateway_go_ahead_with_its_token() -> None:
    """It has all objects itself; should it send a reader elsewhere, the token stays behind."""
    with Server(DATA) as other, Server() as gateway:
        there = Reply(307, headers={"Location": f"{other.url}/v1/objects/b/b"})
        gateway.replies = [cluster_map(1, gateway.url, gateway.url), DATA, DATA, there]
        settings = Settings(gateway.url, token="s3cret", retry=RetryPolicy(attempts=1))
        with closing(client_of(settings)) as client:
            bucket = client.bucket("b")
            assert bucket.object("a").get() == b"data"
            for name in ("a", "b"):
                pending = bucket.object(name).send_ahead()
                assert pending is not None
                with offering(pending):
                    assert bucket.object(name).get() == b"data"
        assert len(gateway.requests) == 4
        assert [request.headers["Authorization"] for request in gateway.requests[1:]] == [
            "Bearer s3cret"
        ] * 3
        assert [request.headers["Authorization"] for request in other.requests] == [None]


def test_a_target_that_is_down_is_tried_once_for_all(unused_endpoint: str) -> None:
    """The others are left to the proxy without another wait for a connection."""
    with Server() as proxy:
        proxy.replies = [cluster_map(1, proxy.url, unused_endpoint), *[DATA] * 3]
        with closing(client_of(Settings(proxy.url))) as client:
            before = stats.totals()["requests"]
            found = client.bucket("b").objects(["a", "b", "c"]).get_all(concurrency=3)
            assert [data for _, data in found] == [b"data"] * 3
            assert stats.totals()["requests"] - before == 1 + 1 + 3


def names(count: int) -> list[str]:
    """Return names of objects."""
    return [f"o{number}" for number in range(count)]


def requested_names(found: Nodes) -> list[str]:
    """Return the names of the objects that were requested of the target."""
    return [request.target.split("/")[4].split("?")[0] for request in found.target.requests]


def open_files() -> int:
    """Count this process's files and sockets."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def reading_threads() -> int:
    """Count the threads that read."""
    return sum(thread.name == "aisio-read" for thread in threading.enumerate())


def test_a_group_is_sent_ahead_and_read_by_one_thread() -> None:
    """Nothing is known of the size of the first, which goes alone; no thread is begun."""
    with nodes(*[DATA] * 40) as found:
        before = reading_threads()
        results = found.client.bucket("b").objects(names(40)).get_all(concurrency=8)
        next(results)
        assert len(found.target.requests) == 1
        next(results)
        found.target.wait_for_requests(1 + 8)
        assert len(list(results)) == 38
        assert reading_threads() == before
        assert sorted(requested_names(found)) == sorted(names(40))
        assert found.target.connections == 8


def test_an_error_is_met_in_its_turn() -> None:
    """What comes before it is delivered, though the error was there first."""
    checksum = {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": "0"}
    wrong = Reply(200, b"data", checksum, only_for="/o2?provider=ais")
    with nodes(wrong, DATA, DATA) as found:
        results = found.client.bucket("b").objects(names(3)).get_all(concurrency=3)
        assert [next(results)[1], next(results)[1]] == [b"data"] * 2
        with pytest.raises(IntegrityError, match="o2"):
            next(results)


def test_a_missing_object_is_missing_in_its_turn() -> None:
    """The proxy is tried for it as for any other."""
    missing = Reply(404, only_for="/o1?provider=ais")
    with nodes(missing, DATA, maps=2, by_proxy=(Reply(404),)) as found:
        results = found.client.bucket("b").objects(names(2)).get_all(concurrency=2)
        next(results)
        with pytest.raises(NotFoundError, match="o1"):
            next(results)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
def test_what_nobody_reads_any_more_is_cut() -> None:
    """Fifty iterations that end early leave no connection."""
    with nodes(*[DATA] * 1000) as found:
        group = found.client.bucket("b").objects(names(20))
        gc.collect()
        before = open_files()
        for _ in range(50):
            results = group.get_all(concurrency=8)
            assert [next(results)[1] for _ in range(3)] == [b"data"] * 3
            del results
        found.client.session.close()
        found.target.wait_for_ends()
        found.proxy.wait_for_ends()
        assert open_files() <= before  # what others left may have ended meanwhile


def test_a_forked_copy_of_an_iteration_takes_no_answers() -> None:
    """They would be lost to the parent, which reads on."""
    with nodes(*[DATA] * 20) as found:
        results = found.client.bucket("b").objects(names(20)).get_all(concurrency=4)
        next(results), next(results)
        pid = os.fork()
        if not pid:
            try:
                next(results)
            except StorageError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert [data for _, data in results] == [b"data"] * 18
        assert len(found.target.requests) == 20


def test_one_wait_is_enough_for_all_that_one_failure_struck() -> None:
    """Seven are refused at once: the first waits for Retry-After, then all are sent again."""
    slowly = Reply(429, b"slowly", {"Retry-After": "1"})
    with nodes(DATA, *[slowly] * 7, *[DATA] * 7, attempts=2) as found:
        before = stats.totals()["retries"]
        results = found.client.bucket("b").objects(names(8)).get_all(concurrency=8)
        assert [data for _, data in results] == [b"data"] * 8
        assert stats.totals()["retries"] - before == 1
        assert len(found.target.requests) == 1 + 7 + 7


class Sent:
    """Stands for a request that was sent ahead."""

    expects_redirect = False

    def __init__(self, number: int, state: RequestState) -> None:
        self.number = number
        self.state = state
        self.is_closed = False

    def take(self, _: object) -> None:
        """Have no answer for a real read."""

    def close(self) -> None:
        """Remember it."""
        self.is_closed = True


class Requests:
    """Sends requests for numbers, and reads them; the read of number 2 fails once.

    Attributes:
        sent: The requests, in the order in which they were sent.
    """

    def __init__(
        self, error: StorageError | None = None, states: Mapping[int, RequestState] | None = None
    ) -> None:
        self.sent: list[Sent] = []
        self._error = error
        self._states = states or {}

    def send_ahead(self, number: int) -> PendingGet:
        """Send the request for a number."""
        is_first = all(one.number != number for one in self.sent)
        state = self._states.get(number) if is_first else None
        self.sent.append(Sent(number, state or RequestState.UNANSWERED))
        return self.sent[-1]  # type: ignore[return-value]

    def read(self, number: int) -> bytes:
        """Return ten bytes that tell the number."""
        return retry(
            lambda: self._try(number), Attempts(RetryPolicy(), Waiter(wait=lambda _: None))
        )

    def _try(self, number: int) -> bytes:
        error, self._error = (self._error, None) if number == 2 else (None, self._error)
        if error is not None:
            raise error
        return b"%010d" % number

    def read_all(self, limit: AdaptiveLimit, count: int = 8) -> Iterator[bytes]:
        """Read the numbers up to so many."""
        return fetch_in_order(
            range(count),
            self.read,
            send_ahead=self.send_ahead,
            limit=limit,
            size_of=lambda _: 10,
            result_bytes=len,
        )


def numbers(results: Iterator[bytes]) -> list[int]:
    """Return what the bytes tell."""
    return [int(result) for result in results]


def fixed(count: int, most_bytes: int = 1 << 20) -> AdaptiveLimit:
    """Return a limit of so many in flight."""
    return AdaptiveLimit(Concurrency(fixed=count, most_bytes=most_bytes))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StoreTimeoutError("it went silent"), [3, 4]),
        (StorageError("it broke"), []),
        (UnavailableError("it broke"), [4]),
        (ThrottledError("429", status=429), [4]),
    ],
)
def test_what_a_failure_may_have_struck_is_sent_again(
    error: StorageError, again: list[int]
) -> None:
    """What is known to have failed; after a timeout also what had begun to come."""
    states = {3: RequestState.ANSWERED, 4: RequestState.FAILED, 5: RequestState.UNANSWERED}
    requests = Requests(error, states)
    results = requests.read_all(fixed(4))
    if not again:
        with pytest.raises(StorageError):  # it cannot pass by itself
            numbers(results)
        return
    assert numbers(results) == list(range(8))
    assert [one.number for one in requests.sent] == [0, 1, 2, 3, 4, 5, *again, 6, 7]
    assert all(one.is_closed for one in requests.sent)


def test_what_was_sent_ahead_is_cut_where_the_iteration_ends() -> None:
    """Also where something else holds it still."""
    requests = Requests()
    results = requests.read_all(fixed(4))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert [one.number for one in requests.sent if one.is_closed] == [0, 1, 2, 3]


def test_a_thread_that_helps_a_read_does_not_send_again() -> None:
    """As of a large object, whose parts break together: the reader does, once it has the result."""
    states = {3: RequestState.FAILED, 4: RequestState.FAILED}
    requests = Requests(states=states)
    sent_meanwhile: list[int] = []

    def read(number: int) -> bytes:
        if number == 2:
            error = UnavailableError("a part broke")
            helpers = [
                threading.Thread(target=partial(copy_context().run, report_failed_try, error))
                for _ in range(4)
            ]
            for helper in helpers:
                helper.start()
            for helper in helpers:
                helper.join()
            sent_meanwhile.extend(one.number for one in requests.sent)
        return b"%010d" % number

    results = fetch_in_order(
        range(8),
        read,
        send_ahead=requests.send_ahead,
        limit=fixed(4),
        size_of=lambda _: 10,
        result_bytes=len,
    )
    assert numbers(results) == list(range(8))
    assert sent_meanwhile == [0, 1, 2, 3, 4, 5]
    assert [one.number for one in requests.sent] == [0, 1, 2, 3, 4, 5, 3, 4, 6, 7]


def test_where_no_server_is_there_one_try_is_enough() -> None:
    """Each try may take as long as a connection does; the rest is sent in its turn."""
    states = dict.fromkeys((3, 4, 5), RequestState.FAILED)
    requests = Requests(UnavailableError("it broke"), states)
    tried: list[int] = []

    def send_once(number: int) -> PendingGet | None:
        tried.append(number)
        return requests.send_ahead(number) if tried.count(number) == 1 else None

    results = fetch_in_order(
        range(6),
        requests.read,
        send_ahead=send_once,
        limit=fixed(4),
        size_of=lambda _: 10,
        result_bytes=len,
    )
    assert numbers(results) == list(range(6))
    assert tried == [0, 1, 2, 3, 4, 5, 3]


def test_no_more_is_sent_ahead_than_the_byte_budget_allows() -> None:
    """Ten bytes each, thirty in all."""
    requests = Requests()
    results = requests.read_all(fixed(8, most_bytes=30), 100)
    for number in range(90):
        assert next(results) == b"%010d" % number
        assert len(requests.sent) == number + 3
    assert numbers(results) == list(range(90, 100))


def test_as_many_as_the_start_allows_are_sent_at_once() -> None:
    """Nothing has to be found out first: no thread stands in another's way."""
    requests = Requests()
    limit = AdaptiveLimit(Concurrency(start=6))
    next(requests.read_all(limit))
    assert (len(requests.sent), limit.is_probing) == (6, False)


class RecordingLimit(AdaptiveLimit):
    """Remembers the sizes of what was delivered."""

    def __init__(self) -> None:
        super().__init__(Concurrency(start=8))
        self.sizes: list[int] = []

    def record_delivery(self, size_bytes: int, waited_s: float) -> None:
        """Remember a size."""
        self.sizes.append(size_bytes)
        super().record_delivery(size_bytes, waited_s)


def test_the_pace_hears_of_what_is_delivered_and_refused() -> None:
    """As it does where threads read."""
    limit = RecordingLimit()
    assert numbers(Requests(ThrottledError("429", status=429)).read_all(limit)) == list(range(8))
    assert (limit.sizes, limit.current) == ([10] * 8, 4)


def test_a_process_sends_no_more_ahead_than_it_may_read_at_once() -> None:
    """However many iterations are half read; threads read what is beyond."""
    with nodes(*[DATA] * 120) as found:
        group = found.client.bucket("b").objects(names(40))
        iterations = [group.get_all(concurrency=32) for _ in range(3)]
        assert [next(one)[1] for one in iterations * 2] == [b"data"] * 6
        assert 32 <= count_pending() <= MAX_CONCURRENT_READS
        assert [data for one in iterations[::-1] for _, data in one] == [b"data"] * 114
        assert count_pending() == 0
        assert len(found.target.requests) == 120
    end_idle_threads()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")
def test_a_forked_child_keeps_no_pending_request_open() -> None:
    """Else a node would wait for it after the parent has long gone on."""
    with nodes(*[DATA] * 20) as found:
        results = found.client.bucket("b").objects(names(20)).get_all(concurrency=4)
        next(results), next(results)
        found.target.wait_for_requests(1 + 4)
        held = open_files()
        pid = os.fork()
        if not pid:
            os._exit(7 if open_files() <= held - 4 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        results.close()  # type: ignore[attr-defined]


def test_two_clients_do_not_share_answers() -> None:
    """The same URL may be another object in another cluster."""
    with nodes(DATA) as found, nodes(OTHER) as other, offering(send_ahead(found)):
        assert other.item.get() == b"other"


def test_an_interrupt_leaves_no_answer_for_a_later_read() -> None:
    """Wherever it comes: the block takes down what it has put up."""
    with nodes(DATA, OTHER) as found:
        pending = send_ahead(found)
        with suppress(KeyboardInterrupt), offering(pending):
            raise KeyboardInterrupt
        assert found.item.get() == b"other"
        assert count_pending() == 0


def test_what_a_silent_target_does_not_answer_comes_from_the_proxy() -> None:
    """All of it, though the target answers none of the requests."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Server() as proxy:
        target = f"http://127.0.0.1:{silent.getsockname()[1]}"
        proxy.replies = [cluster_map(1, proxy.url, target), *[DATA] * 30]
        settings = Settings(
            proxy.url, timeouts=Timeouts(5, 0.5), retry=RetryPolicy(attempts=1, first_wait_s=0)
        )
        with closing(client_of(settings)) as client:
            one = client.bucket("b").object("a")
            pending = [one.send_ahead() for _ in range(8)]
            pending += [one.send_ahead()] if None in pending else []  # the first has read the map
            for answer in pending:
                assert answer is not None
                with offering(answer):
                    assert one.get() == b"data"


def test_a_target_that_sends_a_reader_elsewhere_gives_no_data() -> None:
    """The proxy does; what comes along with a redirect is not the object."""
    there = Reply(307, b"moved", {"Location": "http://127.0.0.1:9/"})
    with nodes(there, by_proxy=(DATA,)) as found:
        assert found.item.get() == b"data"


def test_large_objects_are_left_to_threads() -> None:
    """Their bytes would find no room before somebody reads them."""
    requests = Requests()
    results = fetch_in_order(
        range(8),
        requests.read,
        send_ahead=requests.send_ahead,
        limit=fixed(3),
        size_of=lambda number: 2 << 20 if number % 2 else 10,
        result_bytes=len,
    )
    assert numbers(results) == list(range(8))
    assert [one.number for one in requests.sent] == [0, 2, 4, 6]


def test_what_goes_wrong_with_sending_is_met_where_it_is_read() -> None:
    """In its turn, by the read."""

    def refuse(number: int) -> PendingGet:
        raise ValueError(f"no way to send {number}")

    results = fetch_in_order(
        range(8), Requests().read, send_ahead=refuse, limit=fixed(3), result_bytes=len
    )
    assert numbers(results) == list(range(8))
