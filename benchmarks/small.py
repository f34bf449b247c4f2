"""Small objects, whole: one after another, several in flight, under a DataLoader, by get-batch."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.client import HTTPConnection
from itertools import islice
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from by_hand import Address, Connections, addresses, fill, payloads
from corpus import SMALL_BYTES, TINY_BYTES, Corpus
from measuring import READY, Items, Reader
from peers import curl, http_urls, official, s3_connector_dataset, s3_store

Names = Callable[[Corpus], Sequence[str]]

BATCH = 128
WORKERS = 2
THREADS = 8


def one_by_one(names: Names, corpus: Corpus) -> Items:
    """`Object.get`, one after another."""
    from aisio import Client

    bucket, wanted = Client(corpus.endpoint).bucket(corpus.bucket), names(corpus)
    yield READY
    for name in wanted:
        yield len(bucket.object(name).get())


def in_flight(names: Names, corpus: Corpus) -> Items:
    """`ObjectGroup.get_all`: several GETs in flight."""
    from aisio import Client

    bucket, wanted = Client(corpus.endpoint).bucket(corpus.bucket), names(corpus)
    yield READY
    for _, data in bucket.objects(wanted).get_all():
        yield len(data)


def get_batch(names: Names, corpus: Corpus) -> Items:
    """`Client.get_batch`, 128 objects a request."""
    from aisio import Client

    client, wanted = Client(corpus.endpoint), names(corpus)
    bucket = client.bucket(corpus.bucket)
    yield READY
    for part in _parts(wanted):
        for _, data in client.get_batch(list(bucket.objects(part))):
            yield len(data or b"")


def iter_dataset(corpus: Corpus) -> Items:
    """`AISIterDataset`, listing included."""
    from aisio import AISIterDataset

    yield READY
    dataset = AISIterDataset(f"ais://{corpus.bucket}/small/", endpoint=corpus.endpoint)
    for _, data in iter(dataset):
        yield len(data)


def load_files(corpus: Corpus) -> Items:
    """`ais_list_files` and `ais_load_files`, listing included."""
    from aisio.datapipes import AISFileLister, AISFileLoader

    yield READY
    prefixes = [f"ais://{corpus.bucket}/small/"]
    urls = AISFileLister(prefixes, url=corpus.endpoint)
    for _, stream in AISFileLoader(urls, url=corpus.endpoint):
        yield len(stream.read())


def batch_dataset(corpus: Corpus) -> Items:
    """`AISBatchIterDataset`, 128 objects a request, listing included."""
    from aisio import AISBatchIterDataset, Client

    yield READY
    bucket = Client(corpus.endpoint).bucket(corpus.bucket)
    dataset = AISBatchIterDataset(
        [bucket], bucket.client, prefix_map={bucket: "small/"}, max_batch_size=BATCH
    )
    for _, data in iter(dataset):
        yield len(data)


def loader(corpus: Corpus) -> Items:
    """`AISMapDataset` under a DataLoader with two workers, listing included."""
    from torch.utils.data import DataLoader

    from aisio import AISMapDataset

    del DataLoader
    yield READY
    yield from _load(AISMapDataset(f"ais://{corpus.bucket}/small/", endpoint=corpus.endpoint))


class _InMemoryDataset:
    """A map dataset that reads nothing, to measure the cost of the DataLoader itself."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        return self._names[index], bytes(SMALL_BYTES)


def loader_alone(corpus: Corpus) -> Items:
    """A DataLoader with two workers that read nothing: pickles, pipes and processes."""
    from torch.utils.data import DataLoader

    del DataLoader
    dataset = _InMemoryDataset(corpus.small_names)
    yield READY
    yield from _load(dataset)


def official_one_by_one(names: Names, corpus: Corpus, *, direct: bool = False) -> Items:
    """The official SDK's `get_reader().read_all()`; direct requests go to the node."""
    bucket, wanted = official(corpus), names(corpus)
    yield READY
    for name in wanted:
        yield len(bucket.object(name).get_reader(direct=direct).read_all())


def official_iter_dataset(corpus: Corpus) -> Items:
    """The official `AISIterDataset`, listing included."""
    from aistore.pytorch import AISIterDataset

    bucket = official(corpus)
    yield READY
    for _, data in iter(AISIterDataset([bucket], prefix_map={bucket: "small/"})):
        yield len(data)


def official_batch_dataset(corpus: Corpus) -> Items:
    """The official `AISBatchIterDataset`, 128 objects a request, listing included."""
    from aistore.pytorch.batch_iter_dataset import AISBatchIterDataset
    from aistore.sdk import Client

    client = Client(corpus.endpoint)
    bucket = client.bucket(corpus.bucket)
    yield READY
    dataset = AISBatchIterDataset(
        [bucket], client, prefix_map={bucket: "small/"}, max_batch_size=BATCH
    )
    for _, data in iter(dataset):
        yield len(data)


def official_batch(names: Names, corpus: Corpus) -> Items:
    """The official SDK's `Client.batch`, 128 objects a request."""
    from aistore.sdk import Client

    client, wanted = Client(corpus.endpoint), list(names(corpus))
    bucket = client.bucket(corpus.bucket)
    yield READY
    for part in _parts(wanted):
        for _, data in client.batch(part, bucket).get():
            yield len(data)


def official_loader(corpus: Corpus) -> Items:
    """The official `AISMapDataset` under a DataLoader with two workers, listing included."""
    from aistore.pytorch import AISMapDataset

    bucket = official(corpus)
    yield READY
    yield from _load(AISMapDataset([bucket], prefix_map={bucket: "small/"}))


def obstore_one_by_one(names: Names, corpus: Corpus) -> Items:
    """GET by obstore over the cluster's S3 interface, which redirects to the node."""
    store, wanted = s3_store(corpus), names(corpus)
    yield READY
    for name in wanted:
        yield len(store.get(name).bytes())


def s3_connector(corpus: Corpus) -> Items:
    """The map dataset of Amazon's S3 connector for PyTorch over the cluster's S3 interface."""
    dataset = s3_connector_dataset(corpus, corpus.small_names)
    yield READY
    for index in range(len(dataset)):
        yield len(dataset[index].read())


def urllib3_one_by_one(names: Names, corpus: Corpus) -> Items:
    """One urllib3 pool, by way of the proxy, which redirects to the node."""
    import urllib3

    pool, urls = urllib3.PoolManager(), http_urls(corpus, names(corpus))
    yield READY
    for url in urls:
        yield len(pool.request("GET", url).data)


def curl_one_by_one(names: Names, corpus: Corpus) -> Items:
    """One curl for all, to /dev/null, by way of the proxy, which redirects to the node."""
    urls = http_urls(corpus, names(corpus))
    yield READY
    yield from curl(urls)


def by_hand(names: Names, corpus: Corpus) -> Items:
    """http.client straight to the node, one connection to each, one object after another."""
    wanted, connections = addresses(corpus, names(corpus)), Connections()
    yield READY
    for address in wanted:
        yield len(connections.get(address).read())


def by_hand_in_flight(names: Names, corpus: Corpus) -> Items:
    """The same in eight threads, in any order."""
    wanted = addresses(corpus, names(corpus))
    arrived: SimpleQueue[int] = SimpleQueue()

    def read(share: Sequence[Address]) -> None:
        connections = Connections()
        for address in share:
            arrived.put(len(connections.get(address).read()))

    threads = [
        threading.Thread(target=read, args=(wanted[first::THREADS],), daemon=True)
        for first in range(THREADS)
    ]
    yield READY
    for thread in threads:
        thread.start()
    for _ in wanted:
        yield arrived.get(timeout=60)


def by_hand_ahead(names: Names, corpus: Corpus) -> Items:
    """One thread that has eight requests in flight, on a connection each, and reads in order."""
    wanted = iter(addresses(corpus, names(corpus)))
    free: dict[str, list[HTTPConnection]] = defaultdict(list)
    pending: deque[tuple[HTTPConnection, list[HTTPConnection]]] = deque()

    def send_next() -> None:
        for address in islice(wanted, 1):
            kept = free[address.host]
            connection = kept.pop() if kept else HTTPConnection(address.host)
            connection.request("GET", address.path)
            pending.append((connection, kept))

    yield READY
    for _ in range(THREADS):
        send_next()
    while pending:
        connection, kept = pending.popleft()
        data = connection.getresponse().read()
        kept.append(connection)
        send_next()
        yield len(data)


def batch_by_hand(names: Names, size: int, corpus: Corpus) -> Items:
    """get-batch by http.client: the archive into one reused buffer, members copied out."""
    import urllib3

    parts = list(_parts(names(corpus)))
    buffer = memoryview(bytearray(BATCH * (size + 1024) + 10240))
    start = f"{corpus.endpoint}/v1/ml/moss/{corpus.bucket}?provider=ais"
    connections, pool = Connections(), urllib3.PoolManager()
    yield READY
    for part in parts:
        wanted = [{"objname": name, "bucket": corpus.bucket, "provider": "ais"} for name in part]
        body = json.dumps({"mime": ".tar", "in": wanted, "coer": False, "strm": True}).encode()
        headers = {"Content-Type": "application/json"}
        first = pool.request("GET", start, body=body, headers=headers, redirect=False)
        where = urlsplit(first.headers["Location"])
        address = Address(where.netloc, f"{where.path}?{where.query}")
        got = fill(connections.get(address, body, **headers), buffer)
        for payload in payloads(buffer[:got]):
            yield len(payload)


def _parts(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), BATCH):
        yield list(names[start : start + BATCH])


def _as_list(batch: list[Any]) -> list[Any]:
    return batch


def _load(dataset: Any) -> Iterator[int]:
    from torch.utils.data import DataLoader

    batches = DataLoader(dataset, batch_size=64, num_workers=WORKERS, collate_fn=_as_list)
    for batch in batches:
        for _, data in batch:
            yield len(data)


def _small(corpus: Corpus) -> list[str]:
    return corpus.small_names


def _tiny(corpus: Corpus) -> list[str]:
    return corpus.tiny_names


def _few_tiny(corpus: Corpus) -> list[str]:
    return corpus.few_tiny_names


GET_CASES: dict[str, Reader] = {
    "aisio one by one": partial(one_by_one, _small),
    "aisio in flight": partial(in_flight, _small),
    "aisio AISIterDataset": iter_dataset,
    "aisio ais_load_files": load_files,
    "official SDK": partial(official_one_by_one, _small),
    "official SDK, direct=True": partial(official_one_by_one, _small, direct=True),
    "official AISIterDataset": official_iter_dataset,
    "obstore over /s3": partial(obstore_one_by_one, _small),
    "s3torchconnector over /s3": s3_connector,
    "urllib3": partial(urllib3_one_by_one, _small),
    "curl": partial(curl_one_by_one, _small),
    "by hand: http.client": partial(by_hand, _small),
    "by hand: 8 threads": partial(by_hand_in_flight, _small),
    "by hand: 8 asked ahead": partial(by_hand_ahead, _small),
}
LOADER_CASES: dict[str, Reader] = {
    "aisio AISMapDataset": loader,
    "official AISMapDataset": official_loader,
    "by hand: nothing is read": loader_alone,
}
BATCH_CASES: dict[str, Reader] = {
    "aisio get_batch": partial(get_batch, _small),
    "aisio AISBatchIterDataset": batch_dataset,
    "official SDK batch": partial(official_batch, _small),
    "official AISBatchIterDataset": official_batch_dataset,
    "by hand: http.client": partial(batch_by_hand, _small, SMALL_BYTES),
}
TINY_CASES: dict[str, Reader] = {
    "aisio one by one": partial(one_by_one, _few_tiny),
    "aisio in flight": partial(in_flight, _tiny),
    "aisio get_batch": partial(get_batch, _tiny),
    "official SDK": partial(official_one_by_one, _few_tiny),
    "official SDK, direct=True": partial(official_one_by_one, _few_tiny, direct=True),
    "official SDK batch": partial(official_batch, _tiny),
    "obstore over /s3": partial(obstore_one_by_one, _few_tiny),
    "by hand: http.client": partial(by_hand, _few_tiny),
    "by hand: 8 threads": partial(by_hand_in_flight, _tiny),
    "by hand: 8 asked ahead": partial(by_hand_ahead, _tiny),
    "by hand: get-batch": partial(batch_by_hand, _tiny, TINY_BYTES),
}
