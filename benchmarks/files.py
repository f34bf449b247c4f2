"""One large object into a new file, verified by a known SHA-256.

On a virtual machine, a page of the page cache that was not used for some seconds can cost ten times
as much as the copy into it: a plain loop of write() ran at 360 MB/s and at 6,000. So a file of the
object's size is written and deleted just before each reader starts.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus import LARGE, Corpus
from measuring import READY, Items, temporary_folder
from peers import http_urls

PIECE_BYTES = 1024 * 1024


def load_aisio(corpus: Corpus) -> Items:
    """`aisio.load` of a resource that is not in the cache: write it, hash it, record it."""
    from aisio import Client, Resource, load

    client = Client(corpus.endpoint)
    url = str(client.bucket(corpus.bucket).object(LARGE).url)
    with folder_and_digest(corpus) as (folder, digest):
        resource = Resource(tag="bench/large", url=url, sha256=digest, owner="b@example.com")
        yield READY
        catalog = {resource.tag: resource}
        path = load(resource.tag, resources=catalog, cache_dir=folder, client=client)
        yield path.stat().st_size


def get_aisio(corpus: Corpus) -> Items:
    """`Object.get(into=)` a file: parallel ranges, the store's own checksum, no SHA-256."""
    from aisio import Client

    item = Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE)
    with new_folder(corpus) as folder:
        path = folder / "large"
        yield READY
        item.get(into=path)
        yield path.stat().st_size


def retrieve_pooch(corpus: Corpus) -> Items:
    """pooch, which bionemo-core downloads with: it writes the file, then reads it to hash it."""
    import pooch

    (url,) = http_urls(corpus, [LARGE])
    pooch.get_logger().setLevel("ERROR")
    with folder_and_digest(corpus) as (folder, digest):
        yield READY
        yield Path(pooch.retrieve(url, digest, fname="large", path=folder)).stat().st_size


def curl_into_file(corpus: Corpus) -> Items:
    """`curl -o`, without a hash."""
    (url,) = http_urls(corpus, [LARGE])
    with new_folder(corpus) as folder:
        path = folder / "large"
        yield READY
        subprocess.run(["curl", "-sfL", "-o", str(path), url], check=True)
        yield path.stat().st_size


@contextmanager
def folder_and_digest(corpus: Corpus) -> Iterator[tuple[Path, str]]:
    """Yield an empty folder, and the SHA-256 of the object."""
    from aisio import Client

    digest = hashlib.sha256()
    buffer = bytearray(PIECE_BYTES)
    with Client(corpus.endpoint).bucket(corpus.bucket).object(LARGE).stream() as body:
        while count := body.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    with new_folder(corpus) as folder:
        yield folder, digest.hexdigest()


@contextmanager
def new_folder(corpus: Corpus) -> Iterator[Path]:
    """Yield an empty folder, after touching the memory that its files will need."""
    with temporary_folder() as folder:
        warm_up = Path(folder, "warm-up")
        with warm_up.open("wb", buffering=0) as file:
            piece = bytes(PIECE_BYTES)
            for _ in range(corpus.large_bytes // PIECE_BYTES):
                file.write(piece)
        warm_up.unlink()
        yield folder


CASES = {
    "aisio load": load_aisio,
    "aisio Object.get(into=file)": get_aisio,
    "pooch, which BioNeMo loads with": retrieve_pooch,
    "curl -o": curl_into_file,
}
