"""RankListing: the first rank that needs a listing lists, and the others read what it publishes."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import distributed
from torch.utils.data import ChainDataset, DataLoader

from aisio.client.client import Client
from aisio.errors import IntegrityError
from aisio.gateway import Gateway
from aisio.testing import FaultProxy
from aisio.training.listing.rank_listing import ListingUnavailableError, RankChannel, RankListing
from aisio.training.object_datasets import AISMapDataset
from aisio.training.object_iter_dataset import AISIterDataset
from aisio.training.shard_reader import AISShardReader
from tests.tars import pack

stores: Any = distributed  # they have no types
BLOCKS = [b"first" * 100, b"second", b"third"]
OBJECTS = 8


@pytest.fixture
def store() -> Any:
    """Return a store of torch.distributed for the threads of a process."""
    return stores.HashStore()


def what() -> str:
    """Return the identity of a listing."""
    return "exactly"


def channel(store: Any, rank: int, *, ranks: int = 2, patience_s: float = 60.0) -> RankChannel:
    """Return the channel of a rank."""
    return RankChannel(store, rank, ranks, "key", patience_s)


def test_the_first_rank_lists_and_the_others_read_as_it_publishes(store: Any) -> None:
    """They wait for no more than the next block."""
    first, second = channel(store, 0), channel(store, 1)
    assert [second.claim(), first.claim()] == [True, False]
    blocks = first.receive()
    for block in BLOCKS:
        second.publish(block)
        assert next(blocks) == block
    second.complete()
    assert [*blocks] == []
    assert second.published == len(BLOCKS)


def test_a_rank_can_go_on_in_the_middle(store: Any) -> None:
    """Where another of its processes has read what came before."""
    first, second = channel(store, 0, ranks=3), channel(store, 1, ranks=3)
    for block in BLOCKS:
        first.publish(block)
    first.complete()
    assert [*second.receive(2)] == BLOCKS[2:]


def test_the_last_rank_to_read_removes_the_blocks(store: Any) -> None:
    """They would fill the memory of the process that has the store. A later copy is refused."""
    first = channel(store, 0, ranks=3)
    for block in BLOCKS:
        first.publish(block)
    first.complete()
    keys = [f"key/block/{number}" for number in range(len(BLOCKS))]
    assert store.check(keys)
    assert [*channel(store, 1, ranks=3).receive()] == BLOCKS
    assert [*channel(store, 2, ranks=3).receive()] == BLOCKS
    assert not any(store.check([key]) for key in keys)
    with pytest.raises(ListingUnavailableError, match="stopped"):
        next(channel(store, 2, ranks=3).receive())


def test_the_blocks_stay_until_each_rank_has_read_them(store: Any) -> None:
    """However often another has: a copy of the dataset, or a worker in the place of one."""
    first = channel(store, 0, ranks=3)
    assert first.claim()
    first.publish(BLOCKS[0])
    first.complete()
    for rank in (0, 1, 1, 2):
        assert [*channel(store, rank, ranks=3).receive()] == BLOCKS[:1]
    with pytest.raises(ListingUnavailableError, match="stopped"):
        next(channel(store, 2, ranks=3).receive())


def test_nobody_waits_for_a_rank_that_says_it_has_stopped(store: Any) -> None:
    """Nor for ever for one that says nothing."""
    channel(store, 0).publish(b"one")
    blocks = channel(store, 1, patience_s=0).receive()
    assert next(blocks) == b"one"
    with pytest.raises(ListingUnavailableError, match="nothing for 0 s"):
        next(blocks)
    channel(store, 0).abandon()
    with pytest.raises(ListingUnavailableError, match="stopped"):
        next(channel(store, 1).receive())
    assert channel(store, 0).has_others


def test_ranks_that_listed_themselves_must_have_listed_the_same(store: Any) -> None:
    """Otherwise samples would be lost, or come twice."""
    for rank in range(3):
        channel(store, rank).compare("sha256:1")
    with pytest.raises(IntegrityError, match="ranks 0 and 3 listed different objects"):
        channel(store, 3).compare("sha256:2")


def test_a_store_that_fails_is_no_error_of_the_job() -> None:
    """The rank lists for itself."""

    class Broken:
        def add(self, key: str, number: int) -> int:
            raise RuntimeError("Connection reset by peer\nand 30 lines of a C++ stack")

    with pytest.raises(ListingUnavailableError, match=r"other ranks: Connection reset by peer$"):
        channel(Broken(), 0).claim()


def test_listings_of_the_same_are_told_apart_by_their_number(store: Any) -> None:
    """The second dataset of a rank is that of the other ranks' second."""

    def connect() -> Any:
        return store, 0, 2

    def claim(listing: RankListing, part: int = 0) -> bool:
        channel = listing.channel(part)
        assert channel is not None
        return channel.claim()

    first, second = (RankListing("what", what, connect=connect) for _ in range(2))
    assert [claim(one) for one in (first, first, second)] == [True, False, True]
    assert claim(first.anew())
    assert claim(first, 1)


def test_what_may_differ_between_ranks_is_not_shared(store: Any) -> None:
    """Such as local files, which each machine has for itself."""
    assert RankListing("what", lambda: None, connect=lambda: (store, 0, 2)).channel(0) is None


def test_without_a_process_group_nothing_is_shared() -> None:
    """Nobody is there to share with."""
    assert RankListing("what", what).channel(0) is None


def test_a_rank_without_a_connection_lists_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    """With one line."""

    def connect() -> Any:
        raise RuntimeError("no route")

    ranks = RankListing("what", what, connect=connect)
    assert ranks.channel(0) is None
    assert ranks.channel(1) is None
    (message,) = caplog.messages
    assert message == "this rank lists for itself: no connection to the other ranks: no route"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FaultProxy]:
    """Return a proxy in front of a gateway that has eight objects, in two buckets."""
    with Gateway(tmp_path) as gateway:
        client = Client(gateway.endpoint)
        for number in range(OBJECTS):
            client.bucket("data").create(exist_ok=True).object(f"{number}").put(b"x")
            shard = pack((f"s{number}.bin", b"x"))
            client.bucket("shards").create(exist_ok=True).object(f"{number}.tar").put(shard)
        client.close()
        with FaultProxy(gateway.endpoint) as proxy:
            yield proxy


def _read_as_rank(rank: int, port: int, endpoint: str, pipe: Any) -> None:
    store = stores.TCPStore("127.0.0.1", port, is_master=False)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    every = AISMapDataset("ais://data/", endpoint=endpoint)
    found: list[list[str]] = [[every[index][0] for index in range(len(every))]]
    chain = ChainDataset(
        [
            AISIterDataset("ais://data/", endpoint=endpoint),
            AISShardReader("ais://shards/", endpoint=endpoint),
            AISIterDataset(
                ["ais://data/", "ais://shards/"],
                partition_sources_by_worker=True,
                endpoint=endpoint,
            ),
        ]
    )
    options: dict[str, Any] = {"persistent_workers": True, "multiprocessing_context": "fork"}
    loader = DataLoader(chain, batch_size=None, num_workers=2, **options)
    for _ in range(2):
        found.append([item[0] for item in loader])
    pipe.send(found)
    pipe.recv()  # the other rank may still read from the store
    distributed.destroy_process_group()


def test_two_ranks_with_two_workers_list_once(proxy: FaultProxy) -> None:
    """Each data set, in all of them together and over two epochs; and read each object once."""
    store = stores.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("forkserver")
    pipes, processes = [], []
    for rank in range(2):
        mine, theirs = context.Pipe()
        arguments = (rank, store.port, proxy.endpoint, theirs)
        processes.append(context.Process(target=_read_as_rank, args=arguments))
        processes[-1].start()
        theirs.close()
        pipes.append(mine)
    first, second = [pipe.recv() for pipe in pipes]
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()
    names = [str(number) for number in range(OBJECTS)]
    assert first[0] == second[0] == names
    every = Counter([*names, *map("s{}".format, names), *names, *map("{}.tar".format, names)])
    assert [Counter(a + b) for a, b in zip(first[1:], second[1:], strict=True)] == [every, every]
    paths = [one.path for one in proxy.requests if one.path.startswith("/v1/buckets/")]
    # By AISMapDataset, by AISIterDataset, and by one whose workers have a source each.
    assert Counter(paths) == {"/v1/buckets/data": 3, "/v1/buckets/shards": 2}
