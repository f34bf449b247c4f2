"""What is read, by which way, through which fault."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aisio import AISBatchIterDataset, AISIterDataset, AISMapDataset, AISShardReader
from aisio.client import Bucket, Client
from aisio.datapipes import AISFileLister, AISFileLoader
from aisio.testing.fault_proxy import (
    Corrupt,
    Cut,
    Fault,
    Misroute,
    Refuse,
    Restart,
    Stall,
    Status,
    Trickle,
)

SIZES = {"objects/a": 90_000, "objects/b": 95_000, "objects/c": 99_000}
"""No two objects are of one size: a reply to another request shows by its length."""

FAULTS: Mapping[str, Callable[[int], Fault]] = {
    "cut": lambda at: Cut(after_bytes=at),
    "reset": lambda at: Cut(after_bytes=at, reset=True),
    "corrupt byte": lambda at: Corrupt(at_byte=at),
    "stall": lambda at: Stall(after_bytes=at),
    "silence": lambda at: Stall(after_bytes=None),
    "refused": lambda at: Refuse(),
    "429": lambda at: Status(429, retry_after_s=0),
    "503": lambda at: Status(503, retry_after_s=0),
    "restart": lambda at: Restart(),
    "trickle": lambda at: Trickle(piece_bytes=max(1, at // 4)),
    "other reply": lambda at: Misroute(),
}
"""Name of a fault -> the fault, at a byte of a body. Each is met once."""


@dataclass(frozen=True)
class Way:
    """A way to read.

    Attributes:
        read: Reads all there is to read and returns it.
        asks: Shell pattern of the paths of its requests.
        skip: How many of these pass before the fault.
        method: Their method.
        at: Byte of the body at which the fault strikes.
    """

    read: Callable[[Client], Any]
    asks: str = "/v1/objects/*"
    skip: int = 0
    method: str = "GET"
    at: int = 40_000


def data_of(name: str) -> bytes:
    """Return the bytes of an object."""
    return bytes(index % 251 for index in range(SIZES[name]))


def make_shard(number: int) -> bytes:
    """Return a shard of samples of 8 KB; no two shards are of one size."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in range(20 * (number + 1)):
            member = tarfile.TarInfo(f"{number}-{sample:02d}.bin")
            member.size = 8000
            tar.addfile(member, io.BytesIO(bytes([sample]) * member.size))
    return buffer.getvalue()


def fill(bucket: Bucket) -> None:
    """Store all that is read."""
    for name in SIZES:
        bucket.object(name).put(data_of(name))
    for number in range(2):
        bucket.object(f"shards/{number}.tar").put(make_shard(number))


def _bucket(client: Client) -> Bucket:
    return client.bucket("data")


def _get(client: Client) -> Any:
    return _bucket(client).object("objects/a").get()


def _get_range(client: Client) -> Any:
    return _bucket(client).object("objects/a").get(start=1000, stop=80_000)


def _stream(client: Client) -> Any:
    with _bucket(client).object("objects/a").stream() as body:
        return b"".join(iter(lambda: body.read(7000), b""))


def _open(client: Client) -> Any:
    with _bucket(client).object("objects/c").open() as file:
        file.seek(10_000)
        middle = file.read(60_000)
        file.seek(0)
        return middle, file.read()


def _list(client: Client) -> Any:
    return [(info.name, info.size_bytes) for info in _bucket(client).list(page_size=2)]


def _map(client: Client) -> Any:
    dataset = AISMapDataset("ais://data/objects/", client=client)
    return [dataset[index] for index in range(len(dataset))]


def _map_batch(client: Client) -> Any:
    return AISMapDataset("ais://data/objects/", client=client).__getitems__([2, 0, 1])


def _iter(client: Client) -> Any:
    return list(iter(AISIterDataset("ais://data/objects/", client=client)))


def _get_into(client: Client) -> Any:
    buffer = bytearray(SIZES["objects/a"])
    _bucket(client).object("objects/a").get(into=buffer)
    return bytes(buffer)


def _group(client: Client) -> Any:
    group = _bucket(client).objects(list(SIZES))
    return [(info.name, data) for info, data in group.get_all()]


def _batch(client: Client) -> Any:
    listed = list(_bucket(client).list("objects/", props="name,size,checksum"))
    return [(info.name, data) for info, data in client.get_batch(listed)]


def _batch_dataset(client: Client) -> Any:
    return list(iter(AISBatchIterDataset("ais://data/objects/", client)))


def _pipes(client: Client) -> Any:
    urls = AISFileLister(["ais://data/objects/"], client=client)
    return [(url, stream.read()) for url, stream in AISFileLoader(urls, client=client)]


def _shards(client: Client) -> Any:
    reader = AISShardReader("ais://data/shards/", client=client)
    return [(name, dict(fields)) for name, fields in iter(reader)]


WAYS: Mapping[str, Way] = {
    "`Object.get`": Way(_get),
    "`Object.get`, a range": Way(_get_range),
    "`Object.stream`": Way(_stream),
    "`Object.open`": Way(_open),
    "`Bucket.list`": Way(_list, asks="/v1/buckets/*", skip=1, at=20),
    "`AISMapDataset[i]`": Way(_map, skip=1),
    "`AISMapDataset`, a batch": Way(_map_batch, skip=1),
    "`AISIterDataset`": Way(_iter, skip=1),
    "`ais_load_files`": Way(_pipes, skip=1),
    "`Object.get(into=)`": Way(_get_into),
    "`ObjectGroup.get_all`": Way(_group, skip=1),
    "`Client.get_batch`": Way(_batch, asks="/v1/ml/moss*", skip=1),
    "`AISBatchIterDataset`": Way(_batch_dataset, asks="/v1/ml/moss*", skip=1),
    "`AISShardReader`": Way(_shards, skip=1),
}
