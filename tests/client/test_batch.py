"""get_batch: every entry accounted for, whatever the archive does."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import xxhash

from aisio import stats
from aisio.client import batch as batches
from aisio.client import batch_archive
from aisio.client.client import Client
from aisio.errors import (
    AccessError,
    ConfigError,
    IntegrityError,
    NotFoundError,
    RangeError,
    ThrottledError,
    UrlError,
)
from aisio.records import Checksum, ObjectInfo, RetryPolicy, Settings, Timeouts
from aisio.testing.fault_proxy import Fault, FaultProxy, Stall, Trickle
from aisio.urls import ObjectUrl
from aisio.wire.batch import BatchEntry
from tests.http_server import Reply, Server

DATA = {"a": b"A" * 700, "b": b"", "d/c ?": b"C" * 100, "e": b"E" * 1300}
NAMES = list(DATA)
URLS = [f"ais://b/{name}" for name in NAMES]
ALL = list(DATA.items())


def tar(members: dict[str, bytes]) -> bytes:
    """Return an archive as get-batch sends it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


WHOLE = tar({f"b/{name}": data for name, data in DATA.items()})


def plain(data: bytes) -> Reply:
    """Return the reply to a GET of one object."""
    return Reply(
        200,
        data,
        {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": xxhash.xxh64_hexdigest(data)},
    )


ONE_BY_ONE = [plain(data) for data in DATA.values()]
MISSING = Reply(404, b'{"message": "ais://b/x does not exist"}')


@contextmanager
def asked(*replies: Reply, attempts: int = 3) -> Iterator[tuple[Server, Client]]:
    """Give a scripted server and a client that asks it."""
    with Server(*replies) as server:
        retry = RetryPolicy(attempts=attempts, first_wait_s=0)
        client = Client.from_settings(Settings(server.url, retry=retry, direct=False))
        yield server, client
        client.close()


def names_and_bytes(
    found: Iterator[tuple[ObjectInfo, bytes | None]],
) -> list[tuple[str, bytes | None]]:
    """Read all there is."""
    return [(info.name, data) for info, data in found]


def test_a_batch_is_one_request_with_its_entries_in_order() -> None:
    """AIS-23: the redirect to the node that assembles it gets the same body."""
    moved = Reply(307, headers={"Location": "{server}/v1/ml/moss/b/x/w/1?tid=t"})
    with asked(moved, Reply(200, WHOLE)) as (server, client):
        found = list(client.get_batch(URLS))
    assert [(info.name, data) for info, data in found] == ALL
    assert [info.size_bytes for info, _ in found] == [700, 0, 100, 1300]
    first, second = server.requests
    assert (first.method, first.target) == ("GET", "/v1/ml/moss/b?provider=ais")
    assert second.target == "/v1/ml/moss/b/x/w/1?tid=t"
    assert first.body == second.body
    message = json.loads(first.body)
    assert [entry["objname"] for entry in message["in"]] == NAMES
    assert (message["strm"], message["mime"], message["coer"]) == (True, ".tar", True)


def test_entries_come_in_many_forms() -> None:
    """Objects, listed objects, URLs, members of archives, entries of one's own."""
    members = {"b/a": b"1", "b/e": b"2", "b/s.tar/m": b"4", "b/t": b"56"}
    with asked(Reply(200, tar(members))) as (_, client):
        found = client.get_batch(
            [
                client.object("ais://b/a"),
                ObjectInfo("ais://b", "e", 1),
                ("ais://b/s.tar", "/m"),
                BatchEntry(ObjectUrl.parse("ais://b/t"), start=3, length=2),
            ]
        )
        expected = [("a", b"1"), ("e", b"2"), ("s.tar/m", b"4"), ("t", b"56")]
        assert names_and_bytes(found) == expected


def test_nothing_is_asked_for_nothing() -> None:
    """The server would refuse an empty batch."""
    with asked() as (server, client):
        assert list(client.get_batch([])) == []
    assert server.requests == []


def given_by(stop: int) -> int:
    """Return how many entries the first bytes of WHOLE answer."""
    return sum(end <= stop for end in (512 + 700, 1536 + 512, 2048 + 512 + 100, 3072 + 512 + 1300))


@pytest.mark.parametrize("length", [{}, {"Content-Length": str(len(WHOLE) + 1)}])
@pytest.mark.parametrize("stop", [*range(0, len(WHOLE), 256), 1, 1211, 1212, len(WHOLE) - 1])
def test_an_archive_that_ends_early_is_completed(stop: int, length: dict[str, str]) -> None:
    """Also where the reply looks whole: what has not come is read alone, and only that."""
    given = given_by(stop)
    with asked(Reply(200, WHOLE[:stop], length), *ONE_BY_ONE[given:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + len(ALL) - given


@pytest.mark.parametrize("stop", [0, 1, 511, 512, 1500, 3000, len(WHOLE) - 1])
def test_a_cut_chunk_is_made_good(stop: int) -> None:
    """What has not come of it is read alone, and only that."""
    body = b"%x\r\n%b" % (len(WHOLE), WHOLE[:stop])
    chunked, given = {"Transfer-Encoding": "chunked"}, given_by(stop)
    with asked(Reply(200, body, chunked), *ONE_BY_ONE[given:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + len(ALL) - given


def test_the_time_it_takes_is_counted_by_stage() -> None:
    """Framing is parsing, hashing is verifying, the rest is waiting for bytes."""
    checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(DATA["a"]))
    listed = ObjectInfo("ais://b", "a", 700, checksum)
    before = stats.totals()
    with asked(Reply(200, tar({"b/a": DATA["a"]}))) as (_, client):
        assert names_and_bytes(client.get_batch([listed])) == [("a", DATA["a"])]
    since = stats.since(before)
    assert min(since["parse_s"], since["verify_s"], since["read_s"]) > 0
    assert since["bytes_read"] == 10_240


@pytest.mark.parametrize("place", range(4))
def test_a_member_of_another_name_ends_the_trust(place: int) -> None:
    """It and what follows are read alone; the wrong bytes go to nobody."""
    members = {f"b/{name}": data for name, data in DATA.items()}
    wrong = dict(list(members.items())[:place]) | {"b/other": b"wrong"} | members
    with asked(Reply(200, tar(wrong)), *ONE_BY_ONE[place:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + len(ALL) - place


def test_a_damaged_header_ends_the_trust() -> None:
    """Everything from there on is read alone."""
    damaged = bytearray(WHOLE)
    damaged[1536 + 20] ^= 1
    with asked(Reply(200, bytes(damaged)), *ONE_BY_ONE[1:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "known",
    [
        ObjectInfo("ais://b", "e", 1301),
        ObjectInfo("ais://b", "e", 1300, Checksum("xxhash2", xxhash.xxh64_hexdigest(b"other"))),
    ],
)
def test_what_is_known_of_an_object_is_compared(known: ObjectInfo) -> None:
    """Size and checksum from a listing: where they differ the object itself is asked."""
    with asked(Reply(200, tar({"b/e": DATA["e"], "b/a": b"1"})), plain(b"newer")) as (
        server,
        client,
    ):
        found = client.get_batch([known, "ais://b/a"])
        assert names_and_bytes(found) == [("e", b"newer"), ("a", b"1")]
    assert len(server.requests) == 2


def test_what_is_wrong_in_the_store_is_an_integrity_error() -> None:
    """The read alone is verified, and its error names the object."""
    lie = Reply(200, b"x", {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": "0" * 16})
    other = Reply(200, tar({"b/other": b""}))
    with asked(other, lie) as (_, client), pytest.raises(IntegrityError, match="ais://b/a"):
        list(client.get_batch(["ais://b/a"]))


PLACEHOLDER = tar({"b/a": b"1", "__404__/b/x": b"", "b/e": b"2"})
THREE = ["ais://b/a", "ais://b/x", "ais://b/e"]


def test_a_placeholder_is_not_believed() -> None:
    """A node may miss what another one has."""
    with asked(Reply(200, PLACEHOLDER), plain(b"here")) as (server, client):
        found = names_and_bytes(client.get_batch(THREE))
    assert found == [("a", b"1"), ("x", b"here"), ("e", b"2")]
    assert len(server.requests) == 2


def test_a_missing_object_is_an_error_at_its_place() -> None:
    """By default; what lies before it is delivered."""
    with asked(Reply(200, PLACEHOLDER), MISSING) as (_, client):
        found = client.get_batch(THREE)
        assert next(found)[1] == b"1"
        with pytest.raises(NotFoundError, match="ais://b/x"):
            next(found)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("skip", [("a", b"1"), ("e", b"2")]), ("none", [("a", b"1"), ("x", None), ("e", b"2")])],
)
def test_a_missing_object_may_be_passed_over(missing: str, expected: list[object]) -> None:
    """The bucket is asked after first."""
    with asked(Reply(200, PLACEHOLDER), MISSING, Reply(200)) as (server, client):
        found = names_and_bytes(client.get_batch(THREE, missing=missing))  # type: ignore[arg-type]
    assert found == expected
    assert [request.method for request in server.requests] == ["GET", "GET", "HEAD"]


def test_a_missing_bucket_is_never_passed_over() -> None:
    """All of it would be missing, and an epoch empty."""
    with asked(MISSING, MISSING, MISSING) as (_, client), pytest.raises(NotFoundError):
        list(client.get_batch(["ais://b/a"], missing="skip"))


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_server_without_get_batch_is_asked_one_by_one(status: int) -> None:
    """With one wasted request, not a minute of retries."""
    with asked(Reply(status), *ONE_BY_ONE) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_cluster_is_asked_again(status: int) -> None:
    """After a wait; and nothing is read twice."""
    with asked(Reply(status, headers={"Retry-After": "0"}), Reply(200, WHOLE)) as (server, client):
        assert names_and_bytes(client.get_batch(URLS)) == ALL
    assert len(server.requests) == 2


def test_a_cluster_that_stays_busy_is_left_alone() -> None:
    """Plain reads would only add to its work."""
    with asked(*[Reply(429)] * 3) as (server, client), pytest.raises(ThrottledError):
        list(client.get_batch(URLS))
    assert len(server.requests) == 3


def test_forbidden_is_forbidden() -> None:
    """At once."""
    with asked(Reply(403)) as (server, client), pytest.raises(AccessError):
        list(client.get_batch(URLS))
    assert len(server.requests) == 1


def multipart(rows: list[dict[str, object]], archive: bytes) -> Reply:
    """Return a reply in the multipart form."""
    metadata = json.dumps({"uuid": "u", "out": rows}).encode()
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n' + metadata,
        b'\r\n--x\r\nContent-Disposition: form-data; name="archive"\r\n\r\n' + archive,
        b"\r\n--x--\r\n",
    ]
    return Reply(200, b"".join(parts), {"Content-Type": "multipart/mixed; boundary=x"})


ROWS: list[dict[str, object]] = [
    {"objname": name, "bucket": "b", "provider": "ais", "size": len(data)} for name, data in ALL
]


def test_the_multipart_form_tells_the_sizes() -> None:
    """All of them are compared."""
    with asked(multipart(ROWS, WHOLE)) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, streaming=False)) == ALL
    assert json.loads(server.requests[0].body)["strm"] is False
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("rows", "given"),
    [(ROWS[:3], 0), ([*ROWS[:2], {**ROWS[2], "size": 99}, ROWS[3]], 2), ([ROWS[1], *ROWS[1:]], 0)],
)
def test_metadata_that_contradicts_ends_the_trust(
    rows: list[dict[str, object]], given: int
) -> None:
    """Too few rows, another size, another name."""
    with asked(multipart(rows, WHOLE), *ONE_BY_ONE[given:]) as (server, client):
        found = client.get_batch(URLS, streaming=False, concurrency=1)
        assert names_and_bytes(found) == ALL
    assert len(server.requests) == 5 - given


@pytest.mark.parametrize("stop", range(0, len(multipart(ROWS, WHOLE).body), 300))
def test_a_cut_multipart_reply_is_completed(stop: int) -> None:
    """At any place of it: what the archive gave before counts, and no more."""
    whole = multipart(ROWS, WHOLE)
    given = given_by(stop - whole.body.index(WHOLE))
    cut = Reply(200, whole.body[:stop], whole.headers)
    with asked(cut, *ONE_BY_ONE[given:]) as (server, client):
        found = client.get_batch(URLS, streaming=False, concurrency=1)
        assert names_and_bytes(found) == ALL
    assert len(server.requests) == 1 + len(ALL) - given


@pytest.mark.parametrize("output_format", [".tgz", ".tar.gz"])
def test_a_compressed_archive_is_unpacked(output_format: str) -> None:
    """On its way only."""
    with asked(Reply(200, gzip.compress(WHOLE))) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, output_format=output_format)) == ALL
    assert json.loads(server.requests[0].body)["mime"] == output_format


def test_a_range_beyond_the_end_is_refused() -> None:
    """The server may send the whole object, or call it missing."""
    entry = BatchEntry(ObjectUrl.parse("ais://b/a"), start=1, length=9)
    part = Reply(206, b"23", {"Content-Range": "bytes 1-2/3"})
    whole = Reply(200, tar({"b/a": b"123"}))
    with asked(whole, part) as (_, client), pytest.raises(RangeError, match="there are 2"):
        list(client.get_batch([entry]))


def test_a_range_of_a_member_is_cut_out_of_it() -> None:
    """AIStore refuses a Range header there."""
    entry = BatchEntry(ObjectUrl.parse("ais://b/s.tar"), "m", start=1, length=2)
    with asked(Reply(404), Reply(200, b"1234")) as (server, client):
        found = names_and_bytes(client.get_batch([entry]))
    assert found == [("s.tar/m", b"23")]
    assert server.requests[1].target == "/v1/objects/b/s.tar?provider=ais&archpath=m"


@pytest.mark.parametrize("option", [{"missing": "ignore"}, {"output_format": ".zip"}])
def test_unknown_options_are_refused_at_once(option: dict[str, str]) -> None:
    """Not when the first result is asked for."""
    with asked() as (_, client), pytest.raises(ConfigError):
        client.get_batch(URLS, **option)  # type: ignore[arg-type]


def test_what_is_no_object_is_refused_at_once() -> None:
    """A bucket cannot be fetched."""
    with asked() as (_, client), pytest.raises(UrlError):
        client.get_batch(["ais://b"])


@contextmanager
def asked_through(fault: Fault, *replies: Reply) -> Iterator[tuple[Server, Client]]:
    """Give a scripted server and an impatient client that asks it; the batch meets a fault."""
    with Server(*replies) as server, FaultProxy(server.url) as proxy:
        proxy.add(fault, path="/v1/ml/*")
        timeouts = Timeouts(read_s=0.5, least_bytes_per_s=None)
        settings = Settings(proxy.endpoint, timeouts=timeouts, direct=False)
        client = Client.from_settings(replace(settings, retry=RetryPolicy(attempts=1)))
        yield server, client
        client.close()
        proxy.release()


def test_an_archive_that_pauses_again_and_again_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is shorter than the timeout; what has not come is read alone."""
    monkeypatch.setattr(batch_archive, "_SILENT_S", 0.1)
    slow = Trickle(piece_bytes=1024, pause_s=0.3)
    with asked_through(slow, Reply(200, WHOLE), ONE_BY_ONE[3]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS)) == ALL
    assert len(server.requests) == 2


def test_a_batch_that_is_silent_is_read_object_by_object() -> None:
    """It waits for all of its nodes, an object for its own. So, for a while, is the next."""
    replies = Reply(200, WHOLE), *ONE_BY_ONE, *ONE_BY_ONE
    with asked_through(Stall(None), *replies) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + 2 * len(ALL)


def test_a_batch_is_asked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node may be back."""
    monkeypatch.setattr(batches, "_LEFT_S", 0.0)
    replies = Reply(200, WHOLE), *ONE_BY_ONE, Reply(200, WHOLE)
    with asked_through(Stall(None), *replies) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
        assert names_and_bytes(client.get_batch(URLS)) == ALL
    assert len(server.requests) == 1 + len(ALL) + 1


def test_a_reply_is_let_go_of_when_nobody_reads_on() -> None:
    """Cut short: the connection is closed, and the next batch has one of its own."""
    with asked(Reply(200, WHOLE), Reply(200, WHOLE)) as (_, client):
        found = client.get_batch(URLS)
        next(found)
        del found
        assert names_and_bytes(client.get_batch(URLS)) == ALL
