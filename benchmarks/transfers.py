"""Small objects into files, files into objects, and objects into others of the cluster."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from corpus import WRITERS, Corpus
from measuring import READY, Items, temporary_folder
from packing import empty_prefix


def in_flight(corpus: Corpus) -> Items:
    """`ObjectGroup.get_all` alone: no file is written."""
    from aisio import Client

    bucket, wanted = Client(corpus.endpoint).bucket(corpus.bucket), corpus.small_names
    yield READY
    for _, data in bucket.objects(wanted).get_all():
        yield len(data)


def in_flight_into_files(corpus: Corpus) -> Items:
    """The same, each written by `Path.write_bytes`: a cut file may stay where it is killed."""
    from aisio import Client

    bucket, wanted = Client(corpus.endpoint).bucket(corpus.bucket), corpus.small_names
    with new_folder() as folder:
        yield READY
        for info, data in bucket.objects(wanted).get_all():
            (folder / info.name.replace("/", "-")).write_bytes(data)
            yield len(data)


def copy(corpus: Corpus) -> Items:
    """`aisio.transfer.copy`: what `cp` and `get -r` run."""
    from aisio import Client
    from aisio.transfer import TransferOptions, copy

    client = Client(corpus.endpoint)
    with new_folder() as folder:
        yield READY
        options = TransferOptions(recursive=True)
        report = copy(small_url(corpus), f"file://{folder}/", options, client=client)
        yield from [report.size_bytes // report.copied] * report.copied


def cp(corpus: Corpus) -> Items:
    """`aisio cp`: with the start of the program."""
    with new_folder() as folder:
        words = [sys.executable, "-m", "aisio", "-e", corpus.endpoint, "cp", "-q", "-r"]
        yield READY
        subprocess.run([*words, small_url(corpus), str(folder)], check=True)
        for path in folder.rglob("*"):
            if path.is_file():
                yield path.stat().st_size


def put(corpus: Corpus) -> Items:
    """`aisio.transfer.copy` of files: what `cp` and `put -r` run."""
    from aisio import Client
    from aisio.transfer import TransferOptions, copy

    client, options = Client(corpus.endpoint), TransferOptions(recursive=True)
    with new_folder() as folder:
        copy(small_url(corpus), f"file://{folder}/", options, client=client)
        url = empty_prefix(corpus, "put")
        yield READY
        report = copy(f"file://{folder}/", url, options, client=client)
        yield from [report.size_bytes // report.copied] * report.copied


def put_by_hand(corpus: Corpus) -> Items:
    """8 threads of http.client: where it belongs, asked on a new connection; then the bytes."""
    from aisio import Client
    from aisio.transfer import TransferOptions, copy

    with new_folder() as folder:
        options = TransferOptions(recursive=True)
        copy(small_url(corpus), f"file://{folder}/", options, client=Client(corpus.endpoint))
        prefix = f"/v1/objects/{empty_prefix(corpus, 'put').removeprefix('ais://')}"
        paths = [path for path in folder.rglob("*") if path.is_file()]
        connections = _Connections(corpus.endpoint)
        yield READY
        with ThreadPoolExecutor(WRITERS) as threads:
            send = partial(_put_file, connections, prefix)
            yield from threads.map(send, paths)


class _Connections(threading.local):
    """The connections of a thread to the nodes."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = urlsplit(endpoint)
        self.nodes: dict[str, HTTPConnection] = {}


def _put_file(connections: _Connections, prefix: str, path: Path) -> int:
    data = path.read_bytes()
    with closing(HTTPConnection(connections.endpoint.netloc)) as asked:
        asked.putrequest("PUT", prefix + path.name)
        asked.putheader("Content-Length", str(len(data)))
        asked.putheader("Connection", "close")
        asked.endheaders()
        location = urlsplit(asked.getresponse().headers["Location"])
    node = connections.nodes.get(location.netloc)
    if node is None:
        node = connections.nodes[location.netloc] = HTTPConnection(location.netloc)
    node.request("PUT", f"{location.path}?{location.query}", data)
    response = node.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"PUT {path.name}: {response.status}")
    return len(data)


def copy_inside(corpus: Corpus) -> Items:
    """`aisio.transfer.copy` to other names in the cluster, each by a request."""
    from aisio import Client
    from aisio.transfer import TransferOptions, copy

    client = Client(corpus.endpoint)
    url = empty_prefix(corpus, "copies")
    yield READY
    report = copy(small_url(corpus), url, TransferOptions(recursive=True), client=client)
    yield from [report.size_bytes // report.copied] * report.copied


def small_url(corpus: Corpus) -> str:
    """Return the URL of the folder of the small objects."""
    folder = corpus.small_names[0].rpartition("/")[0]
    return f"ais://{corpus.bucket}/{folder}/"


@contextmanager
def new_folder() -> Iterator[Path]:
    """Yield an empty folder; in memory if possible, as disks differ from run to run."""
    memory = Path("/dev/shm")
    with temporary_folder(memory if memory.is_dir() else None) as folder:
        yield folder


CASES = {
    "aisio get_all, no files": in_flight,
    "aisio get_all, write_bytes": in_flight_into_files,
    "aisio transfer.copy": copy,
    "aisio cp": cp,
}

PUT_CASES = {
    "aisio transfer.copy": put,
    "by hand: http.client, 8 threads": put_by_hand,
}

COPY_CASES = {"aisio transfer.copy": copy_inside}
