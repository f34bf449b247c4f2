"""Shards in a folder with their index, for the tests of what reads by it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aisio.shards.index import ShardIndex
from aisio.shards.index_build import build_shard_index
from aisio.stores import LocalStore, Store
from aisio.urls import ObjectUrl


def index_of(store: Store, urls: list[ObjectUrl]) -> ShardIndex:
    """Build the index of shards."""
    return ShardIndex.merge(
        [build_shard_index(partial(store.get, url), store.head(url)) for url in urls]
    )


def write(folder: Path, shards: Mapping[str, bytes]) -> list[ObjectUrl]:
    """Write shards into a folder, and return their addresses in the order of their names."""
    for name, data in shards.items():
        (folder / name).write_bytes(data)
    return [ObjectUrl.parse(f"file://{folder}/{name}") for name in sorted(shards)]


def local(folder: Path, shards: Mapping[str, bytes]) -> tuple[ShardIndex, list[ObjectUrl]]:
    """Write shards into a folder; return their index and addresses."""
    urls = write(folder, shards)
    return index_of(LocalStore(), urls), urls
