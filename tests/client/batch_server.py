"""Scripted answers to get-batch, and to the GETs of its objects."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import xxhash

from aisio.client.client import Client
from aisio.records import ObjectInfo, RetryPolicy, Settings, Timeouts
from aisio.testing.fault_proxy import Fault, FaultProxy
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
    """Return the response to a GET of one object."""
    return Reply(
        200,
        data,
        {"Ais-Checksum-Type": "xxhash2", "Ais-Checksum-Value": xxhash.xxh64_hexdigest(data)},
    )


ONE_BY_ONE = [plain(data) for data in DATA.values()]


def names_and_bytes(
    found: Iterator[tuple[ObjectInfo, bytes | None]],
) -> list[tuple[str, bytes | None]]:
    """Read all results."""
    return [(info.name, data) for info, data in found]


def count_complete(stop: int) -> int:
    """Return how many members the first `stop` bytes of WHOLE have complete."""
    return sum(end <= stop for end in (512 + 700, 1536 + 512, 2048 + 512 + 100, 3072 + 512 + 1300))


@contextmanager
def faulty_cluster(fault: Fault, *replies: Reply) -> Iterator[tuple[Server, Client]]:
    """Start a scripted server behind a proxy that makes batches fail; yield it and a client."""
    with Server(*replies) as server, FaultProxy(server.url) as proxy:
        proxy.add(fault, path="/v1/ml/*")
        timeouts = Timeouts(read_s=0.5, least_bytes_per_s=None)
        settings = Settings(proxy.endpoint, timeouts=timeouts, direct=False)
        client = Client.from_settings(replace(settings, retry=RetryPolicy(attempts=1)))
        yield server, client
        client.close()
        proxy.release()
