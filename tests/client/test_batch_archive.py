"""The archive of a get-batch: its members are matched, and what it lacks is read by GETs."""

from __future__ import annotations

import gzip
import json

import pytest
import xxhash

from aisio import stats
from aisio.client.batch import get_batch
from aisio.client.batch_archive import BatchOptions
from aisio.errors import (
    ConfigError,
)
from aisio.records import Checksum, ObjectInfo
from aisio.testing.fault_proxy import Trickle
from tests.client.batch_server import (
    ALL,
    DATA,
    ONE_BY_ONE,
    URLS,
    WHOLE,
    count_complete,
    faulty_cluster,
    names_and_bytes,
    tar,
)
from tests.http_server import Reply
from tests.scripted_cluster import cluster


@pytest.mark.parametrize("length", [{}, {"Content-Length": str(len(WHOLE) + 1)}])
@pytest.mark.parametrize("stop", [*range(0, len(WHOLE), 256), 1, 1211, 1212, len(WHOLE) - 1])
def test_an_archive_that_ends_early_is_completed(stop: int, length: dict[str, str]) -> None:
    """Even if the response looks whole. Objects that came are not read again."""
    given = count_complete(stop)
    with cluster(Reply(200, WHOLE[:stop], length), *ONE_BY_ONE[given:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + len(ALL) - given


@pytest.mark.parametrize("stop", [0, 1, 511, 512, 1500, 3000, len(WHOLE) - 1])
def test_an_archive_with_a_cut_chunk_is_completed(stop: int) -> None:
    """Objects that came are not read again."""
    body = b"%x\r\n%b" % (len(WHOLE), WHOLE[:stop])
    chunked, given = {"Transfer-Encoding": "chunked"}, count_complete(stop)
    with cluster(Reply(200, body, chunked), *ONE_BY_ONE[given:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + len(ALL) - given


def test_time_is_counted_by_stage() -> None:
    """Framing is parsing, hashing is verifying, the rest is waiting for bytes."""
    checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(DATA["a"]))
    listed = ObjectInfo("ais://b", "a", 700, checksum)
    before = stats.totals()
    with cluster(Reply(200, tar({"b/a": DATA["a"]}))) as (_, client):
        assert names_and_bytes(client.get_batch([listed])) == [("a", DATA["a"])]
    since = stats.since(before)
    assert min(since["parse_s"], since["verify_s"], since["read_s"]) > 0
    assert since["bytes_read"] == 10_240


@pytest.mark.parametrize("place", range(4))
def test_after_a_member_of_another_name_objects_are_read_singly(place: int) -> None:
    """The wrong bytes are not delivered."""
    members = {f"b/{name}": data for name, data in DATA.items()}
    wrong = dict(list(members.items())[:place]) | {"b/other": b"wrong"} | members
    with cluster(Reply(200, tar(wrong)), *ONE_BY_ONE[place:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 1 + len(ALL) - place


def test_after_a_damaged_header_objects_are_read_singly() -> None:
    """That is all of them from there on."""
    damaged = bytearray(WHOLE)
    damaged[1536 + 20] ^= 1
    with cluster(Reply(200, bytes(damaged)), *ONE_BY_ONE[1:]) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, concurrency=1)) == ALL
    assert len(server.requests) == 4


def multipart(rows: list[dict[str, object]], archive: bytes) -> Reply:
    """Return a response in the multipart form."""
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


def test_the_multipart_form_has_the_sizes() -> None:
    """All of them are compared."""
    with cluster(multipart(ROWS, WHOLE)) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, streaming=False)) == ALL
    assert json.loads(server.requests[0].body)["strm"] is False
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("rows", "given"),
    [(ROWS[:3], 0), ([*ROWS[:2], {**ROWS[2], "size": 99}, ROWS[3]], 2), ([ROWS[1], *ROWS[1:]], 0)],
)
def test_metadata_that_contradicts_the_entries_ends_the_batch(
    rows: list[dict[str, object]], given: int
) -> None:
    """Too few rows, another size, another name."""
    with cluster(multipart(rows, WHOLE), *ONE_BY_ONE[given:]) as (server, client):
        found = client.get_batch(URLS, streaming=False, concurrency=1)
        assert names_and_bytes(found) == ALL
    assert len(server.requests) == 5 - given


@pytest.mark.parametrize("stop", range(0, len(multipart(ROWS, WHOLE).body), 300))
def test_a_cut_multipart_reply_is_completed(stop: int) -> None:
    """Wherever it is cut: members before the cut count, and no others."""
    whole = multipart(ROWS, WHOLE)
    given = count_complete(stop - whole.body.index(WHOLE))
    cut = Reply(200, whole.body[:stop], whole.headers)
    with cluster(cut, *ONE_BY_ONE[given:]) as (server, client):
        found = client.get_batch(URLS, streaming=False, concurrency=1)
        assert names_and_bytes(found) == ALL
    assert len(server.requests) == 1 + len(ALL) - given


@pytest.mark.parametrize("output_format", [".tgz", ".tar.gz"])
def test_a_compressed_archive_is_decompressed(output_format: str) -> None:
    """The compression is that of the archive on the wire only."""
    with cluster(Reply(200, gzip.compress(WHOLE))) as (server, client):
        assert names_and_bytes(client.get_batch(URLS, output_format=output_format)) == ALL
    assert json.loads(server.requests[0].body)["mime"] == output_format


@pytest.mark.parametrize("option", [{"missing": "ignore"}, {"output_format": ".zip"}])
def test_unknown_options_are_refused_at_once(option: dict[str, str]) -> None:
    """Not only when the first result is read."""
    with cluster() as (_, client), pytest.raises(ConfigError):
        client.get_batch(URLS, **option)  # type: ignore[arg-type]


def test_an_archive_that_pauses_again_and_again_is_abandoned() -> None:
    """Each pause is shorter than the timeout; the objects that have not come are read singly."""
    options = BatchOptions(pause_s=0.1)
    slow = Trickle(piece_bytes=1024, pause_s=0.3)
    with faulty_cluster(slow, Reply(200, WHOLE), ONE_BY_ONE[3]) as (server, client):
        found = get_batch(client.session, URLS, options, bucket_exists=lambda _: True)
        assert names_and_bytes(found) == ALL
    assert len(server.requests) == 2
