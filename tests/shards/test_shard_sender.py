"""ShardSender: one shard is sent while the next one is collected."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from aisio.errors import ConfigError, ConflictError, StorageError
from aisio.records import ObjectInfo
from aisio.shards.open_shard import OpenShard
from aisio.shards.shard_folder import ShardFolder
from aisio.shards.shard_sender import ShardSender
from aisio.stores import LocalStore
from aisio.transport.payload import PutData
from aisio.urls import ObjectUrl


class GatedStore(LocalStore):
    """Stores shards when it is let to, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gate = threading.Event()
        self.error = error

    def put(self, url: ObjectUrl, data: PutData) -> ObjectInfo:
        assert self.gate.wait(60)
        if self.error is not None and url.name.endswith(".tar"):
            raise self.error
        return super().put(url, data)


def shard(key: str) -> OpenShard:
    """Return a shard of one sample."""
    shard = OpenShard()
    shard.write(key, [(f"{key}.x", b"1")])
    return shard


def sender(tmp_path: Path, store: LocalStore) -> ShardSender:
    """Return a sender to an empty folder."""
    url = ObjectUrl.parse(f"file://{tmp_path}/out")
    return ShardSender(ShardFolder(store, url, "shard"), overwrite=False)


def test_collecting_goes_on_while_a_shard_is_sent(tmp_path: Path) -> None:
    """The next one waits for it."""
    store = GatedStore()
    to_test = sender(tmp_path, store)
    to_test.send(shard("a"))
    assert to_test.stored == []
    store.gate.set()
    to_test.send(shard("b"))
    assert len(to_test.stored) == 1
    to_test.finish()
    to_test.close()
    assert [len(index) for _, index in to_test.stored] == [1, 1]
    assert (tmp_path / "out/.aisio-index").exists()


def test_a_failure_is_told_with_the_next_shard_and_ever_after(tmp_path: Path) -> None:
    """Nothing of the later ones is sent."""
    store = GatedStore(StorageError("the store is full"))
    store.gate.set()
    to_test = sender(tmp_path, store)
    to_test.send(shard("a"))
    following = shard("b")
    for action in (lambda: to_test.send(following), to_test.finish):
        with pytest.raises(StorageError, match="the store is full"):
            action()
    following.close()
    to_test.close()
    assert not (tmp_path / "out").exists()


def test_a_shard_of_another_process_is_not_replaced(tmp_path: Path) -> None:
    """It came after this one had looked."""
    first, second = (sender(tmp_path, LocalStore()) for _ in range(2))
    first.send(shard("a"))
    first.finish()
    second.send(shard("a"))
    with pytest.raises(ConflictError, match="another process has written it: give each its rank"):
        second.finish()
    for one in (first, second):
        one.close()


def test_nothing_to_send_is_an_error(tmp_path: Path) -> None:
    """Readers would find an empty folder."""
    to_test = sender(tmp_path, LocalStore())
    with pytest.raises(ConfigError, match="no sample was written"):
        to_test.finish()
