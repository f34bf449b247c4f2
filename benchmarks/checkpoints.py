"""A checkpoint, written from memory that was there before and read into memory likewise."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import requests

from by_hand import Connections, addresses, fill
from corpus import LARGE, Corpus
from measuring import READY, Items, Reader

TENSOR_BYTES = 50_000_000
PART_BYTES = 16 * 1024 * 1024
PARTS_AT_ONCE = 8
WRITTEN = "large/checkpoint"


def write_aisio(corpus: Corpus) -> Items:
    """`Checkpoint.writer`, verified."""
    from aisio import Checkpoint

    checkpoint = Checkpoint(endpoint=corpus.endpoint)
    tensors = _memory(corpus)
    yield READY
    with checkpoint.writer(f"ais://{corpus.bucket}/{WRITTEN}") as file:
        for tensor in tensors:
            file.write(tensor)
    yield corpus.large_bytes


def write_by_hand(corpus: Corpus) -> Items:
    """http.client, one PUT."""
    data = b"".join(_memory(corpus))
    (address,) = addresses(corpus, [WRITTEN])
    path = urlsplit(_redirect(corpus, "PUT", address.path))
    yield READY
    _send(path.netloc, "PUT", f"{path.path}?{path.query}", data)
    yield len(data)


def write_by_hand_in_parts(corpus: Corpus) -> Items:
    """http.client, eight parts of 16 MiB at once."""
    view = memoryview(b"".join(_memory(corpus)))
    (address,) = addresses(corpus, [WRITTEN])
    count = -(-len(view) // PART_BYTES)
    yield READY

    def act(action: str, query: str = "", value: object = None) -> str:
        message = {"action": action, "name": "", "value": value}
        response = requests.post(corpus.endpoint + address.path + query, json=message)
        response.raise_for_status()
        return response.text

    upload = f"&uploadId={act('mpt-upload')}"

    def put(number: int) -> None:
        part = view[number * PART_BYTES : (number + 1) * PART_BYTES]
        location = _redirect(corpus, "PUT", f"{address.path}{upload}&partNumber={number + 1}")
        target = urlsplit(location)
        _send(target.netloc, "PUT", f"{target.path}?{target.query}", part)

    with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
        list(threads.map(put, range(count)))
    parts = [{"part-number": number + 1, "etag": ""} for number in range(count)]
    act("mpt-complete", upload, parts)
    yield len(view)


def read_aisio(corpus: Corpus) -> Items:
    """`Checkpoint.reader`, tensor by tensor into their memory."""
    from aisio import Checkpoint

    checkpoint = Checkpoint(endpoint=corpus.endpoint)
    tensors = _memory(corpus)
    yield READY
    with checkpoint.reader(f"ais://{corpus.bucket}/{LARGE}") as file:
        yield sum(file.readinto(tensor) for tensor in tensors)


def read_open(corpus: Corpus) -> Items:
    """`Object.open`, the same."""
    from aisio import Client

    item = Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE)
    tensors = _memory(corpus)
    yield READY
    with item.open() as file:
        yield sum(file.readinto(tensor) for tensor in tensors)


def read_by_hand(corpus: Corpus) -> Items:
    """http.client, one response."""
    (address,) = addresses(corpus, [LARGE])
    tensors = _memory(corpus)
    yield READY
    response = Connections().get(address)
    yield sum(fill(response, tensor) for tensor in tensors)


def read_by_hand_in_ranges(corpus: Corpus) -> Items:
    """http.client, the bytes of each tensor by up to eight ranges at once."""
    (address,) = addresses(corpus, [LARGE])
    tensors = _memory(corpus)
    local = threading.local()

    def read(job: tuple[int, memoryview]) -> int:
        if not hasattr(local, "connections"):
            local.connections = Connections()
        start, view = job
        response = local.connections.get(address, Range=f"bytes={start}-{start + len(view) - 1}")
        return fill(response, view)

    yield READY
    size_bytes, start = 0, 0
    with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
        for tensor in tensors:
            step = -(-len(tensor) // PARTS_AT_ONCE)
            jobs = [(start + at, tensor[at : at + step]) for at in range(0, len(tensor), step)]
            size_bytes += sum(threads.map(read, jobs))
            start += len(tensor)
    yield size_bytes


def _sizes(corpus: Corpus) -> Iterator[int]:
    for start in range(0, corpus.large_bytes, TENSOR_BYTES):
        yield min(TENSOR_BYTES, corpus.large_bytes - start)


def _memory(corpus: Corpus) -> list[memoryview]:
    """Return memory that was touched: that of the model that is to be loaded."""
    return [memoryview(bytearray(b"x") * size) for size in _sizes(corpus)]


def _redirect(corpus: Corpus, method: str, path: str) -> str:
    """Return where the proxy sends a request for data."""
    connection = HTTPConnection(urlsplit(corpus.endpoint).netloc)
    connection.putrequest(method, path)
    connection.putheader("Content-Length", "1000000")
    connection.putheader("Connection", "close")
    connection.endheaders()
    response = connection.getresponse()
    connection.close()
    return response.headers["Location"]


def _send(host: str, method: str, path: str, body: bytes | memoryview) -> bytes:
    connection = HTTPConnection(host)
    connection.request(method, path, body=body)
    response: HTTPResponse = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 200:
        raise OSError(f"{method} {path}: {response.status} {answer[:200]!r}")
    return answer


WRITE_CASES: Mapping[str, Reader] = {
    "aisio Checkpoint.writer": write_aisio,
    "by hand: 1 PUT": write_by_hand,
    "by hand: 8 parts": write_by_hand_in_parts,
}
READ_CASES: Mapping[str, Reader] = {
    "aisio Checkpoint.reader": read_aisio,
    "aisio Object.open": read_open,
    "by hand: 1 response": read_by_hand,
    "by hand: 8 ranges": read_by_hand_in_ranges,
}
