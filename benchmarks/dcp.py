"""A distributed checkpoint of one rank, loaded into tensors that were there before.

It has a hundred tensors; a tenth of them is every tenth. It was written by aisio a moment ago: its
files are in the page cache of the machine that has them.

moto's server copies the whole object for each range: on it, time goes by the number of ranges, and
not by their sizes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from aisio import NotFoundError
from aisio.stores import DirectSettings
from corpus import Corpus
from measuring import READY, Items, Reader

TENSORS = 100
KEYS = {"access_key_id": "key", "secret_access_key": "secret"}


def loaded_bytes(corpus: Corpus, step: int) -> int:
    """Return the size of every step-th tensor together."""
    return corpus.large_bytes // (4 * TENSORS) * 4 * (TENSORS // step)


def load_served(corpus: Corpus, step: int) -> Items:
    """`StorageReader` over ais://."""
    from aisio.checkpoint import StorageReader

    url = f"ais://{corpus.bucket}/dcp"
    _save_once(corpus, url, endpoint=corpus.endpoint)
    yield from _load(corpus, step, lambda: StorageReader(url, endpoint=corpus.endpoint))


def load_local(corpus: Corpus, step: int) -> Items:
    """`StorageReader` over file://."""
    from aisio.checkpoint import StorageReader

    with tempfile.TemporaryDirectory() as folder:
        _save_once(corpus, f"file://{folder}/dcp")
        yield from _load(corpus, step, lambda: StorageReader(f"file://{folder}/dcp"))


def load_torch(corpus: Corpus, step: int) -> Items:
    """FileSystemReader over the same files."""
    with tempfile.TemporaryDirectory() as folder:
        _save_once(corpus, f"file://{folder}/dcp")
        reader = _dcp().FileSystemReader
        yield from _load(corpus, step, lambda: reader(f"{folder}/dcp"))


def load_s3(corpus: Corpus, step: int) -> Items:
    """`StorageReader` over s3:// on moto's server."""
    from aisio.checkpoint import StorageReader

    with _s3_server() as endpoint:
        options: dict[str, Any] = {"direct": DirectSettings(endpoint, "us-east-1", KEYS)}
        _save_once(corpus, "s3://bucket/dcp", **options)
        yield from _load(corpus, step, lambda: StorageReader("s3://bucket/dcp", **options))


def load_connector(corpus: Corpus, step: int) -> Items:
    """Amazon's S3StorageReader, `dcp_optimized`, on the same server."""
    module = import_module("s3torchconnector.dcp")
    connector = import_module("s3torchconnector")
    os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    with _s3_server() as endpoint:
        direct = DirectSettings(endpoint, "us-east-1", KEYS)
        _save_once(corpus, "s3://bucket/dcp", direct=direct)
        # Its reader has no argument for the endpoint: the client that it makes takes this one.
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        config = connector.S3ClientConfig(force_path_style=True)
        make = partial(
            module.S3StorageReader, "us-east-1", "s3://bucket/dcp", s3client_config=config
        )
        yield from _load(corpus, step, make)


def _load(corpus: Corpus, step: int, make: Callable[[], Any]) -> Items:
    size = corpus.large_bytes // (4 * TENSORS)
    torch = import_module("torch")
    state = {f"layer {number}": torch.ones(size) for number in range(0, TENSORS, step)}
    dcp = _dcp()
    yield READY
    dcp.load(state, storage_reader=make(), no_dist=True)
    yield sum(tensor.nbytes for tensor in state.values())
    wrong = [name for name, tensor in state.items() if tensor[-1] != int(name.split()[1])]
    if wrong:
        raise ValueError(f"not loaded: {wrong}")


def _save_once(corpus: Corpus, url: str, **options: Any) -> None:
    from aisio.checkpoint import StorageWriter
    from aisio.checkpoint.dcp.place import StoreFinder

    place = StoreFinder(None, options.get("endpoint"), options.get("direct", False)).place(url)
    try:
        place.store.head(place.metadata_url)
    except NotFoundError:
        torch, size = import_module("torch"), corpus.large_bytes // (4 * TENSORS)
        state = {f"layer {number}": torch.full((size,), number + 0.0) for number in range(TENSORS)}
        _dcp().save(state, storage_writer=StorageWriter(url, **options), no_dist=True)


def _dcp() -> Any:
    warnings.simplefilter("ignore")
    return import_module("torch.distributed.checkpoint")


@contextmanager
def _s3_server() -> Iterator[str]:
    """Run moto's server with an empty bucket, and yield its endpoint."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    errors = Path(tempfile.mkdtemp()) / "errors"
    with errors.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:
        try:
            while not (found := re.search(r"http://[\d.:]+", errors.read_text())):
                if server.poll() is not None:
                    raise OSError(errors.read_text())
            endpoint = found[0]
            boto3 = import_module("boto3")
            boto3.client(
                "s3",
                endpoint_url=endpoint,
                aws_access_key_id="key",
                aws_secret_access_key="secret",
                region_name="us-east-1",
            ).create_bucket(Bucket="bucket")
            yield endpoint
        finally:
            server.terminate()


def cases(step: int) -> Mapping[str, Reader]:
    """Return the readers of every step-th tensor."""
    return {
        "aisio StorageReader, ais://": partial(load_served, step=step),
        "aisio StorageReader, file://": partial(load_local, step=step),
        "torch FileSystemReader, local": partial(load_torch, step=step),
    }


def s3_cases(step: int) -> Mapping[str, Reader]:
    """Return the readers of every step-th tensor on one S3 server."""
    return {
        "aisio StorageReader, s3://": partial(load_s3, step=step),
        "s3torchconnector dcp_optimized": partial(load_connector, step=step),
    }
