"""Tar shards as samples: an image of 70 KB and two small fields each."""

from __future__ import annotations

from itertools import islice

from by_hand import Address, Connections, addresses, fill, payloads
from corpus import FIELDS_BYTES, Corpus
from measuring import READY, Items
from peers import http_urls, official

PREFIX = "shards/"


def shards_aisio(corpus: Corpus) -> Items:
    """`AISShardReader`, listing included."""
    from aisio import AISShardReader

    yield READY
    reader = AISShardReader(f"ais://{corpus.bucket}/{PREFIX}", endpoint=corpus.endpoint)
    for _, fields in iter(reader):
        yield sum(map(len, fields.values()))


def shards_official(corpus: Corpus) -> Items:
    """The official `AISShardReader`, listing included."""
    from aistore.pytorch import AISShardReader

    bucket = official(corpus)
    yield READY
    for _, fields in iter(AISShardReader([bucket], prefix_map={bucket: PREFIX})):
        yield sum(map(len, fields.values()))


def shards_webdataset(corpus: Corpus) -> Items:
    """The readers of webdataset over curl, as its documentation suggests."""
    import webdataset

    urls = http_urls(corpus, corpus.shard_names)
    yield READY
    pipes = [f"pipe:curl -s -L '{url}'" for url in urls]
    for sample in webdataset.WebDataset(pipes, shardshuffle=False):
        yield sum(len(value) for key, value in sample.items() if not key.startswith("__"))


def shards_by_hand(corpus: Corpus) -> Items:
    """http.client, whole shards into one reused buffer; members copied out, three a sample.

    Names are not compared: each sample is known to have three members.
    """
    wanted, buffer, connections = _prepare(corpus)
    yield READY
    for address in wanted:
        got = fill(connections.get(address), buffer)
        members = payloads(buffer[:got])
        while fields := tuple(islice(members, 3)):
            yield sum(map(len, fields))


def shards_bytes_only(corpus: Corpus) -> Items:
    """The same without parsing: the bytes alone, and no samples."""
    wanted, buffer, connections = _prepare(corpus)
    yield READY
    for address in wanted:
        fill(connections.get(address), buffer)
        for _ in range(corpus.samples):
            yield FIELDS_BYTES


def _prepare(corpus: Corpus) -> tuple[list[Address], memoryview, Connections]:
    wanted, connections = addresses(corpus, corpus.shard_names), Connections()
    buffer = memoryview(bytearray(corpus.samples * (FIELDS_BYTES + 3 * 1024) + 20480))
    return wanted, buffer, connections


CASES = {
    "aisio AISShardReader": shards_aisio,
    "official AISShardReader": shards_official,
    "webdataset over curl": shards_webdataset,
    "by hand: http.client, one buffer": shards_by_hand,
    "by hand: the bytes alone": shards_bytes_only,
}
