"""A scripted server with one object, and the responses to reads of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import xxhash

from aisio.client.client import Client
from aisio.client.object import Object
from aisio.records import RetryPolicy, Settings
from tests.http_server import Reply, Server

DATA = bytes(range(100))


TARGET = {"Location": "{server}/target?pid=p&utm=1"}


MOVED = Reply(307, headers=TARGET, unread=True)


def hashed(data: bytes) -> dict[str, str]:
    """Return the headers in which AIStore sends an object's checksum."""
    return {
        "Ais-Checksum-Type": "xxhash2",
        "Ais-Checksum-Value": xxhash.xxh64_hexdigest(data),
        "Ais-Version": "1",
    }


WHOLE = Reply(200, DATA, hashed(DATA))


CUT = Reply(200, DATA[:40], {**hashed(DATA), "Content-Length": "100"})


def part(start: int, stop: int, **changes: str) -> Reply:
    """Return the response to a request for bytes [start, stop)."""
    span = f"bytes {start}-{stop - 1}/100"
    headers = {**hashed(DATA), "Content-Range": span} | changes
    return Reply(206, DATA[start:stop], headers)


@contextmanager
def stored(*replies: Reply, attempts: int = 3) -> Iterator[tuple[Server, Object]]:
    """Start a scripted server; yield it and an object there."""
    with Server(*replies) as server:
        retry = RetryPolicy(attempts=attempts, first_wait_s=0)
        client = Client.from_settings(Settings(server.url, retry=retry, direct=False))
        yield server, client.bucket("b").object("d/a ?#")
        client.close()


def cut_part(start: int, stop: int, at: int) -> Reply:
    """Return the response to a request for bytes [start, stop) that is cut at byte `at`."""
    whole = part(start, stop)
    return Reply(206, DATA[start:at], {**whole.headers, "Content-Length": str(stop - start)})


def bucket_that_sums_ranges(answer: bool, kind: str = "xxhash2") -> Reply:
    """Return the response to a HEAD of a bucket."""
    props = json.dumps({"checksum": {"type": kind, "enable_read_range": answer}})
    return Reply(200, headers={"Ais-Bucket-Props": props})


def summed_alone(start: int, stop: int) -> Reply:
    """Return a part with the checksum of just these bytes."""
    return part(start, stop, **hashed(DATA[start:stop]))
