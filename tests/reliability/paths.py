"""What is read, by which way, through which fault."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import webdataset as wds
import xxhash
from torch.distributed.checkpoint.api import CheckpointException

from aisio import (
    AISBatchIterDataset,
    AISIterDataset,
    AISMapDataset,
    AISShardDataset,
    AISShardReader,
    Loader,
    MemoryOptions,
    ModelDirectory,
)
from aisio.checkpoint import StorageReader, StorageWriter
from aisio.checkpoint.safetensors import load_file, safe_open
from aisio.cli.cluster import Cluster
from aisio.cli.commands import get
from aisio.client.client import Bucket, Client
from aisio.datapipes import AISFileLister, AISFileLoader
from aisio.formats.safetensors import encode_header
from aisio.integrations.webdataset import samples
from aisio.records import Checksum, ObjectInfo
from aisio.shards.index import ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.stores import DirectSettings, DirectStore
from aisio.stores.oss.store import OssStore
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
from aisio.transport.body import Body
from aisio.urls import ObjectUrl
from tests.checkpoint.dcp.states import load, save
from tests.oss_server import ANYBODYS

SIZES = {"objects/a": 90_000, "objects/b": 95_000, "objects/c": 99_000}
"""No two objects are of one size: a reply to another request shows by its length."""

_MODEL_FILES = ("config.json", "model.safetensors")

OTHER_BYTES = 50_000
"""What belongs to another request, if nothing else is said."""

LARGE_BYTES = 36 * 1024 * 1024
"""Enough to be read in parts."""

FAULTS: Mapping[str, Callable[[int, str], Fault]] = {
    "cut": lambda at, other: Cut(after_bytes=at),
    "reset": lambda at, other: Cut(after_bytes=at, reset=True),
    "corrupt byte": lambda at, other: Corrupt(at_byte=at),
    "stall": lambda at, other: Stall(after_bytes=at),
    "silence": lambda at, other: Stall(after_bytes=None),
    "refused": lambda at, other: Refuse(),
    "429": lambda at, other: Status(429, retry_after_s=0),
    "503": lambda at, other: Status(503, retry_after_s=0),
    "restart": lambda at, other: Restart(),
    "trickle": lambda at, other: Trickle(piece_bytes=max(1, at // 4)),
    "other reply": lambda at, other: Misroute(other),
}
"""Name of a fault -> the fault, at a byte of a body, or with another reply. Each is met once."""


@dataclass(frozen=True)
class Reach:
    """What a way reads by: all of it leads through a fault proxy.

    Attributes:
        client: Of the gateway.
        direct: How to reach a store that is no cluster.
        oss: How to reach OSS.
    """

    client: Client
    direct: DirectSettings
    oss: DirectSettings

    @property
    def bucket(self) -> Bucket:
        """What the gateway has."""
        return self.client.bucket("data")


@dataclass(frozen=True)
class Way:
    """A way to read.

    Attributes:
        read: Reads all there is to read and returns it.
        asks: Shell pattern of the paths of its requests.
        skip: How many of these pass before the fault.
        method: Their method.
        at: Byte of the body at which the fault strikes.
        other: Path and query of another request, whose reply is a sound one.
        ahead: The request that meets the fault is sent before its answer is wanted.
        to: What stands behind the proxy: "gateway"; "target", the same with an address of its own
            for the target; "s3"; "oss".
    """

    read: Callable[[Reach], Any]
    asks: str = "/v1/objects/*"
    skip: int = 0
    method: str = "GET"
    at: int = 40_000
    other: str = "/v1/objects/data/other?provider=ais"
    ahead: bool = False
    to: str = "gateway"


def data_of(name: str) -> bytes:
    """Return the bytes of an object."""
    return bytes(index % 251 for index in range(SIZES[name]))


def make_shard(number: int) -> bytes:
    """Return a shard of samples of 8 KB; no two shards are of one size."""
    sizes = {f"{number}-{sample:02d}.bin": 8000 for sample in range(20 * (number + 1))}
    return make_archive(sizes)


def make_archive(sizes: Mapping[str, int]) -> bytes:
    """Return an archive of files of these sizes, each full of a byte of its own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (name, size_bytes) in enumerate(sizes.items()):
            member = tarfile.TarInfo(name)
            member.size = size_bytes
            tar.addfile(member, io.BytesIO(bytes([number]) * size_bytes))
    return buffer.getvalue()


def make_model() -> bytes:
    """Return a safetensors file that is read by several requests."""
    start, header = encode_header({"a": ("U8", (3_000_000,)), "b": ("U8", (2_000_000,))}, None)
    return start + bytes(range(250)) * (header.data_bytes // 250)


def make_state() -> dict[str, torch.Tensor]:
    """Return what is in the distributed checkpoint."""
    return {"a": torch.arange(500_000), "b": torch.arange(100_000, dtype=torch.float64)}


def fill(bucket: Bucket) -> None:
    """Store all that is read."""
    writer = StorageWriter(f"ais://{bucket.name}/dcp", client=bucket.client)
    save(make_state(), writer)
    for name in SIZES:
        bucket.object(name).put(data_of(name))
    for number in range(2):
        bucket.object(f"shards/{number}.tar").put(make_shard(number))
    bucket.object("archive.tar").put(make_archive({"a.bin": 60_000, "b.bin": 70_000}))
    bucket.object("other").put(bytes(OTHER_BYTES))
    bucket.object("large").put(bytes(range(256)) * (LARGE_BYTES // 256))
    bucket.object("model.safetensors").put(make_model())
    bucket.object("tiny/config.json").put(b"{}")
    bucket.object("tiny/model.safetensors").put(make_model())


def _get(reach: Reach) -> Any:
    return reach.bucket.object("objects/a").get()


def _get_range(reach: Reach) -> Any:
    return reach.bucket.object("objects/a").get(start=1000, stop=80_000)


def _stream(reach: Reach) -> Any:
    with reach.bucket.object("objects/a").stream() as body:
        return b"".join(iter(lambda: body.read(7000), b""))


def _open(reach: Reach) -> Any:
    with reach.bucket.object("objects/a").open() as file:
        return file.read()


def _seek(reach: Reach) -> Any:
    with reach.bucket.object("large").open() as file:
        file.seek(LARGE_BYTES // 2)
        middle = file.read(60_000)
        file.seek(-100_000, io.SEEK_END)
        return middle, file.read()


def _member(reach: Reach) -> Any:
    return reach.bucket.object("archive.tar").get_member("a.bin")


def _list(reach: Reach) -> Any:
    return [(info.name, info.size_bytes) for info in reach.bucket.list(page_size=2)]


def _map(reach: Reach) -> Any:
    dataset = AISMapDataset("ais://data/objects/", client=reach.client)
    return [dataset[index] for index in range(len(dataset))]


def _map_batch(reach: Reach) -> Any:
    return AISMapDataset("ais://data/objects/", client=reach.client).__getitems__([2, 0, 1])


def _iter(reach: Reach) -> Any:
    return list(iter(AISIterDataset("ais://data/objects/", client=reach.client)))


def _get_into(reach: Reach) -> Any:
    return _into(reach, "objects/a", SIZES["objects/a"])


def _get_in_parts(reach: Reach) -> Any:
    return _into(reach, "large", LARGE_BYTES)


def _into(reach: Reach, name: str, size_bytes: int) -> bytearray:
    buffer = bytearray(size_bytes)
    reach.bucket.object(name).get(into=buffer)
    return buffer


class _Reached(Cluster):
    """What a command talks to."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.endpoint)
        object.__setattr__(self, "_client", client)

    def client(self) -> Client:
        """Return the client that is already there."""
        client: Client = self.__dict__["_client"]
        return client


def _command(reach: Reach) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "large")
        words = ["ais://data/large", str(file)]
        get.command.main(words, standalone_mode=False, obj=_Reached(reach.client))
        return file.read_bytes()


def _model(reach: Reach) -> Any:
    found = load_file("ais://data/model.safetensors", client=reach.client, concurrency=2)
    return {name: bytes(tensor.numpy()) for name, tensor in found.items()}


def _model_tensor(reach: Reach) -> Any:
    url = "ais://data/model.safetensors"
    with safe_open(url, client=reach.client, concurrency=2) as file:
        return bytes(file.get_tensor("b").numpy())


def _dcp_reader(reach: Reach) -> StorageReader:
    return StorageReader("ais://data/dcp", client=reach.client, part_bytes=1 << 20, concurrency=2)


def _dcp_metadata(reach: Reach) -> Any:
    return sorted(_dcp_reader(reach).read_metadata().state_dict_metadata)


def _dcp_load(reach: Reach) -> Any:
    found = {name: torch.zeros_like(tensor) for name, tensor in make_state().items()}
    try:
        load(found, _dcp_reader(reach))
    except CheckpointException as error:  # it has that of the one rank
        raise error.failures[0][0] from None
    return {name: bytes(tensor.numpy()) for name, tensor in found.items()}


def _model_folder(reach: Reach) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        memory = MemoryOptions(from_bytes=1_000_000, folder=folder)
        with ModelDirectory(
            "ais://data/tiny/", Path(folder, "model"), client=reach.client, memory=memory
        ) as made:
            return [(made.path / f"{name}").read_bytes() for name in _MODEL_FILES]


def _group(reach: Reach) -> Any:
    group = reach.bucket.objects(list(SIZES))
    return [(info.name, data) for info, data in group.get_all()]


def _batch(reach: Reach) -> Any:
    listed = list(reach.bucket.list("objects/", props="name,size,checksum"))
    return [(info.name, data) for info, data in reach.client.get_batch(listed)]


def _batch_dataset(reach: Reach) -> Any:
    return list(iter(AISBatchIterDataset("ais://data/objects/", reach.client)))


def _pipes(reach: Reach) -> Any:
    urls = AISFileLister(["ais://data/objects/"], client=reach.client)
    return [(url, stream.read()) for url, stream in AISFileLoader(urls, client=reach.client)]


def _shards(reach: Reach) -> Any:
    reader = AISShardReader("ais://data/shards/", client=reach.client)
    return [(name, dict(fields)) for name, fields in iter(reader)]


@cache
def shard_index() -> ShardIndex:
    """Return the index of the shards in the gateway."""
    indexes: list[ShardIndex] = []
    for number in range(2):
        data = make_shard(number)
        checksum = Checksum("xxhash2", xxhash.xxh64_hexdigest(data))
        info = ObjectInfo("ais://data", f"shards/{number}.tar", len(data), checksum)
        indexes.append(build_shard_index(partial(Body, io.BytesIO(data), info, len(data)), info))
    return ShardIndex.merge(indexes)


def _indexed(reach: Reach, **options: Any) -> AISShardDataset:
    source = "ais://data/shards/"
    return AISShardDataset(source, client=reach.client, index=shard_index(), **options)


def _indexed_batch(reach: Reach) -> Any:
    dataset = _indexed(reach, keys=["bin"])
    # Each is alone: the samples between two of them are too many to be read in vain.
    return dataset.__getitems__([55, 0, 18, 36])


def _packs(reach: Reach) -> Any:
    dataset = _indexed(reach, fields=["bin"])
    loader = Loader(dataset, 7, shuffle=True, equalize="none", collate_fn=list)
    return [sample for batch in loader for sample in batch]


def _webdataset(reach: Reach) -> Any:
    # webdataset gives its opener no more than a URL: the environment says the rest.
    timeout = reach.client.settings.timeouts.read_s
    environ = {"AIS_ENDPOINT": reach.client.endpoint, "AIS_READ_TIMEOUT": f"{timeout or 0}"}
    urls = ["ais://data/shards/0.tar", "ais://data/shards/1.tar"]
    with mock.patch.dict(os.environ, environ):
        return list(wds.WebDataset(urls, shardshuffle=False))


def _samples(reach: Reach) -> Any:
    return list(samples("ais://data/shards/", client=reach.client))


def _s3_object(reach: Reach) -> Any:
    return DirectStore(reach.direct).read(ObjectUrl.parse("s3://data/objects/a"))


def _s3_objects(reach: Reach) -> Any:
    return list(iter(AISIterDataset("s3://data/objects/", direct=reach.direct, concurrency=1)))


def _s3_shards(reach: Reach) -> Any:
    reader = AISShardReader("s3://data/shards/", direct=reach.direct)
    return [(name, dict(fields)) for name, fields in iter(reader)]


def _oss_object(reach: Reach) -> Any:
    return OssStore(reach.oss).read(ObjectUrl.parse(f"oss://{ANYBODYS}/objects/a"))


def _oss_objects(reach: Reach) -> Any:
    return list(iter(AISIterDataset(f"oss://{ANYBODYS}/objects/", direct=reach.oss)))


def _web_object(reach: Reach) -> Any:
    url = ObjectUrl.parse(f"{reach.client.endpoint}/v1/objects/data/objects/a")
    pytest.importorskip("obstore")
    return DirectStore(reach.direct).read(url)


_BATCHES = Way(_batch, asks="/v1/ml/moss*", skip=1)
_SHARDS = Way(_shards, skip=1, other="/v1/objects/data/shards/0.tar?provider=ais")
_INDEXED = Way(
    _indexed_batch,
    asks="/v1/objects/data/shards/*",
    skip=1,
    at=4000,
    ahead=True,
)
_PARTS = Way(_get_in_parts, skip=1, at=4 * 1024 * 1024, asks="/v1/objects/data/large")
_MODEL = "/v1/objects/data/model.safetensors"
_S3 = Way(_s3_object, asks="/data/objects/*", other="/data/other", to="s3")
_OSS = Way(_oss_object, asks=f"/{ANYBODYS}/objects/*", other=f"/{ANYBODYS}/other", to="oss")
_MEMBER = "/v1/objects/data/archive.tar?archpath=b.bin&provider=ais"

WAYS: Mapping[str, Way] = {
    "`Object.get`": Way(_get),
    "`Object.get`, a range": Way(_get_range),
    "`Object.stream`": Way(_stream),
    "`Object.open`, read through": Way(_open),
    "`Object.open`, with seeks": Way(_seek),
    "`Object.get_member`": Way(_member, other=_MEMBER),
    "`Bucket.list`": Way(_list, asks="/v1/buckets/*", skip=1, at=100),
    "`AISMapDataset[i]`": Way(_map, skip=1),
    "`AISMapDataset`, a batch": Way(_map_batch, skip=1, ahead=True),
    "`AISIterDataset`": Way(_iter, skip=1, ahead=True),
    "`ais_load_files`": Way(_pipes, skip=1, ahead=True),
    "`Object.get(into=)`": Way(_get_into),
    "`Object.get(into=)`, in parts": _PARTS,
    "`aisio get`, in parts": replace(_PARTS, read=_command),
    "`safetensors.load_file`, header": Way(_model, asks=_MODEL),
    "`safetensors.load_file`": Way(_model, asks=_MODEL, skip=1),
    "`safetensors.safe_open`, a tensor": Way(_model_tensor, asks=_MODEL, skip=1),
    "`StorageReader`, `.metadata`": Way(_dcp_metadata, asks="/v1/objects/data/dcp/.m*", at=200),
    "`StorageReader`, a load": Way(_dcp_load, asks="/v1/objects/data/dcp/__*"),
    "`ModelDirectory`": Way(_model_folder, asks="/v1/objects/data/tiny/*", skip=1),
    "`ObjectGroup.get_all`": Way(_group, skip=1, ahead=True),
    "`Client.get_batch`": _BATCHES,
    "`AISBatchIterDataset`": replace(_BATCHES, read=_batch_dataset),
    "`AISShardReader`": _SHARDS,
    "`wds.WebDataset`": replace(_SHARDS, read=_webdataset),
    "webdataset's `samples`": replace(_SHARDS, read=_samples),
    "`AISShardDataset`, a batch": _INDEXED,
    "`Loader` of `AISShardDataset`": replace(_INDEXED, read=_packs),
    "`Object.get`, straight to the target": Way(_get, to="target"),
    "`AISIterDataset`, straight to the target": Way(_iter, skip=1, ahead=True, to="target"),
    "`AISShardReader`, straight to the target": replace(_SHARDS, to="target"),
    "`DirectStore.read`, http": Way(_web_object),
    "`DirectStore.read`, s3": _S3,
    "`AISIterDataset`, s3": replace(_S3, read=_s3_objects, skip=1),
    "`AISShardReader`, s3": Way(
        _s3_shards, asks="/data/shards/*", other="/data/shards/0.tar", skip=1, to="s3"
    ),
    "`Store.read`, oss": _OSS,
    "`AISIterDataset`, oss": replace(_OSS, read=_oss_objects, skip=1, ahead=True),
}
