"""OpenShard: a shard that is being collected."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import xxhash

from aisio.shards.index_build import build_shard_index
from aisio.shards.open_shard import OpenShard
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl


def test_what_is_stored_has_the_size_checksum_and_index_that_are_told(tmp_path: Path) -> None:
    """They are taken while it is written."""
    shard = OpenShard()
    shard.write("a", [("a.cls", b"7"), ("a.jpg", bytes(5000))])
    shard.write("b", [("b.jpg", b"")])
    assert (shard.samples, shard.size_bytes) == (2, 512 + 512 + 512 + 5120 + 512 + 1024)
    store, url = LocalStore(), ObjectUrl.parse(f"file://{tmp_path}/a.tar")
    packed, index = shard.put(store, url)
    data = (tmp_path / "a.tar").read_bytes()
    assert packed.size_bytes == len(data)
    assert packed.checksum.value == xxhash.xxh64(data, seed=0).hexdigest()
    assert (packed.url, packed.samples) == (str(url), 2)
    read = build_shard_index(partial(store.get, url), store.head(url))
    assert index.to_bytes() == read.to_bytes()
    shard.close()
    assert shard.file.closed
