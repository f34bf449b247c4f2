"""Parquet and small objects through fsspec: aisio's `ais://` beside s3fs at the S3 API.

What pandas makes of the bytes costs the same in all rows; the rows without fsspec say how much.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from by_hand import Connections, addresses
from corpus import TABLE, Corpus
from measuring import READY, Items, Reader
from peers import require_s3

FileSystem = Callable[[Corpus], Any]

_PER_CALL = 100


def aisio_file_system(corpus: Corpus) -> Any:
    """Return the file system of `ais://`."""
    fsspec = import_module("fsspec")
    return fsspec.filesystem("ais", endpoint=corpus.endpoint)


def s3fs_file_system(corpus: Corpus) -> Any:
    """Return s3fs at the S3 API of the endpoint.

    Raises:
        ImportError: s3fs is not installed.
        Unsuited: The endpoint has no S3 API.
    """
    require_s3(corpus)
    s3fs = import_module("s3fs")
    return s3fs.S3FileSystem(key="any", secret="any", endpoint_url=f"{corpus.endpoint}/s3")


def read_parquet(file_system: FileSystem, corpus: Corpus) -> Items:
    """`pandas.read_parquet`, as a program calls it that names a file system."""
    pandas, opened = _pandas(), file_system(corpus)
    yield READY
    yield _size(pandas.read_parquet(_path(corpus), filesystem=opened))


def read_parquet_url(corpus: Corpus) -> Items:
    """`pandas.read_parquet` of an URL of `ais://`."""
    pandas = _pandas()
    options = {"endpoint": corpus.endpoint}
    yield READY
    yield _size(pandas.read_parquet(f"ais://{_path(corpus)}", storage_options=options))


def read_parquet_by_hand(corpus: Corpus) -> Items:
    """One GET by http.client into memory, and `pandas.read_parquet` of that."""
    pandas = _pandas()
    connections, (address,) = Connections(), addresses(corpus, [TABLE])
    yield READY
    with connections.get(address) as response:
        yield _size(pandas.read_parquet(io.BytesIO(response.read())))


def read_parquet_local(corpus: Corpus) -> Items:
    """`pandas.read_parquet` of the gateway's own file.

    Raises:
        FileNotFoundError: The endpoint is a cluster, whose files are elsewhere.
    """
    pandas, file = _pandas(), Path(corpus.folder, corpus.bucket, TABLE)
    if not corpus.folder:
        raise FileNotFoundError("only the embedded gateway has its files on this machine")
    yield READY
    yield _size(pandas.read_parquet(file))


def cat_file(file_system: FileSystem, corpus: Corpus) -> Items:
    """`cat_file`, one after another."""
    opened = file_system(corpus)
    yield READY
    for name in corpus.small_names:
        yield len(opened.cat_file(f"{corpus.bucket}/{name}"))


def cat(file_system: FileSystem, corpus: Corpus) -> Items:
    """`cat` of 100 paths a call."""
    opened, paths = file_system(corpus), iter(f"{corpus.bucket}/{n}" for n in corpus.small_names)
    yield READY
    while some := list(islice(paths, _PER_CALL)):
        for data in opened.cat(some).values():
            yield len(data)


def cat_by_hand(corpus: Corpus) -> Items:
    """http.client on one kept connection, one after another."""
    connections, wanted = Connections(), addresses(corpus, corpus.small_names)
    yield READY
    for address in wanted:
        with connections.get(address) as response:
            yield len(response.read())


def _pandas() -> Any:
    """Return pandas, with what it imports at the first Parquet file."""
    import_module("pyarrow.dataset")
    import_module("pyarrow.parquet")
    return import_module("pandas")


def _size(frame: Any) -> int:
    return int(frame.memory_usage(index=False).sum())


def _path(corpus: Corpus) -> str:
    return f"{corpus.bucket}/{TABLE}"


PARQUET_CASES: dict[str, Reader] = {
    "aisio ais:// URL": read_parquet_url,
    "aisio file system": partial(read_parquet, aisio_file_system),
    "s3fs": partial(read_parquet, s3fs_file_system),
    "by hand, http.client": read_parquet_by_hand,
    "by hand, local file": read_parquet_local,
}
CAT_FILE_CASES: dict[str, Reader] = {
    "aisio cat_file": partial(cat_file, aisio_file_system),
    "s3fs cat_file": partial(cat_file, s3fs_file_system),
    "by hand, http.client": cat_by_hand,
}
CAT_CASES: dict[str, Reader] = {
    "aisio cat": partial(cat, aisio_file_system),
    "s3fs cat": partial(cat, s3fs_file_system),
}
