"""One large object: as a stream, and into memory that was not touched before."""

from __future__ import annotations

import mmap
import threading

from by_hand import Connections, addresses, fill
from corpus import LARGE, Corpus
from measuring import READY, Items
from peers import curl, http_urls, official, s3_store

PIECE_BYTES = 1024 * 1024
RANGES = 4


def stream_aisio(corpus: Corpus) -> Items:
    """`Object.stream` into one reused buffer, verified."""
    from aisio import Client

    item = Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE)
    buffer = bytearray(PIECE_BYTES)
    yield READY
    with item.stream() as body:
        while count := body.readinto(buffer):
            yield count


def open_aisio(corpus: Corpus) -> Items:
    """`Object.open`, the seekable file, in reads of 1 MiB."""
    from aisio import Client

    item = Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE)
    yield READY
    with item.open() as file:
        while data := file.read(PIECE_BYTES):
            yield len(data)


def stream_official(corpus: Corpus) -> Items:
    """The official SDK's `as_file` in reads of 1 MiB."""
    item = official(corpus).object(LARGE)
    yield READY
    with item.get_reader().as_file() as file:
        while data := file.read(PIECE_BYTES):
            yield len(data)


def stream_obstore(corpus: Corpus) -> Items:
    """Stream by obstore over the cluster's S3 interface."""
    store = s3_store(corpus)
    yield READY
    for piece in store.get(LARGE).stream(min_chunk_size=PIECE_BYTES):
        yield len(piece)


def stream_curl(corpus: Corpus) -> Items:
    """One curl to /dev/null."""
    urls = http_urls(corpus, [LARGE])
    yield READY
    yield from curl(urls)


def stream_by_hand(corpus: Corpus) -> Items:
    """http.client, one connection straight to the node, one reused buffer."""
    (address,) = addresses(corpus, [LARGE])
    buffer = bytearray(PIECE_BYTES)
    yield READY
    response = Connections().get(address)
    while count := response.readinto(buffer):
        yield count


def get_aisio(corpus: Corpus) -> Items:
    """`Object.get`: the bytes, verified."""
    from aisio import Client

    item = Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE)
    yield READY
    yield len(item.get())


def get_into_aisio(corpus: Corpus) -> Items:
    """`Object.get(into=)`: parallel ranges into memory that was not touched before."""
    from aisio import Client

    item = Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE)
    buffer = _fresh(corpus)
    yield READY
    item.get(into=buffer)
    yield len(buffer)


def get_official(corpus: Corpus) -> Items:
    """The official SDK's `read_all`."""
    item = official(corpus).object(LARGE)
    yield READY
    yield len(item.get_reader().read_all())


def get_official_parallel(corpus: Corpus) -> Items:
    """The official SDK's `read_all` by four parallel ranges, into shared memory."""
    item = official(corpus).object(LARGE)
    yield READY
    with item.get_reader(num_workers=RANGES).read_all() as view:
        yield len(view)


def get_obstore(corpus: Corpus) -> Items:
    """GET by obstore over the cluster's S3 interface."""
    store = s3_store(corpus)
    yield READY
    yield len(store.get(LARGE).bytes())


def get_by_hand(corpus: Corpus) -> Items:
    """http.client, one connection, into memory that was not touched before."""
    (address,) = addresses(corpus, [LARGE])
    buffer = _fresh(corpus)
    yield READY
    yield fill(Connections().get(address), memoryview(buffer))


def get_by_hand_in_ranges(corpus: Corpus) -> Items:
    """http.client, four ranges at a time into memory that was not touched before."""
    (address,) = addresses(corpus, [LARGE])
    view = memoryview(_fresh(corpus))
    got = [0] * RANGES

    def read(number: int) -> None:
        start = corpus.large_bytes * number // RANGES
        stop = corpus.large_bytes * (number + 1) // RANGES
        response = Connections().get(address, Range=f"bytes={start}-{stop - 1}")
        got[number] = fill(response, view[start:stop])

    yield READY
    threads = [threading.Thread(target=read, args=(number,)) for number in range(RANGES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield sum(got)


def _fresh(corpus: Corpus) -> mmap.mmap:
    """Return memory whose pages the kernel has not allocated yet.

    It is private: shared memory, the default of mmap, costs twice as much.
    """
    return mmap.mmap(-1, corpus.large_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


STREAM_CASES = {
    "aisio Object.stream": stream_aisio,
    "aisio Object.open": open_aisio,
    "official SDK as_file": stream_official,
    "obstore over /s3": stream_obstore,
    "curl": stream_curl,
    "by hand: http.client": stream_by_hand,
}
MEMORY_CASES = {
    "aisio Object.get": get_aisio,
    "aisio Object.get(into=)": get_into_aisio,
    "official SDK read_all": get_official,
    "official SDK read_all, 4 ranges": get_official_parallel,
    "obstore over /s3": get_obstore,
    "by hand: http.client": get_by_hand,
    "by hand: 4 ranges": get_by_hand_in_ranges,
}
