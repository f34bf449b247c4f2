"""A distributed checkpoint of one rank, loaded into tensors that were there before.

It has a hundred tensors; a tenth of them is every tenth, and a tenth of their rows is what one of
ten ranks would load. It was written by aisio a moment ago: its files are in the page cache of the
machine that has them.

moto's server copies the whole object for each range: on it, time goes by the number of ranges, and
not by their sizes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from aisio import NotFoundError
from aisio.stores import DirectSettings
from corpus import Corpus
from measuring import READY, Items, Reader, temporary_folder, unmeasured

TENSORS = 100
KEYS = {"access_key_id": "key", "secret_access_key": "secret"}


class Part(NamedTuple):
    """What is loaded.

    Attributes:
        step: Every so many-th tensor.
        share: One of so many equal shares of its rows: the second, if there is one.
    """

    step: int = 1
    share: int = 1


WHOLE, TENTH, ROWS = Part(), Part(step=10), Part(share=10)


def loaded_bytes(corpus: Corpus, part: Part) -> int:
    """Return the size of what is loaded."""
    return corpus.large_bytes // (4 * TENSORS) // part.share * 4 * (TENSORS // part.step)


def load_served(corpus: Corpus, part: Part) -> Items:
    """`StorageReader` over ais://."""
    from aisio.checkpoint import StorageReader

    url = f"ais://{corpus.bucket}/dcp"
    _save_once(corpus, url, endpoint=corpus.endpoint)
    yield from _load(corpus, part, lambda: StorageReader(url, endpoint=corpus.endpoint))


def load_local(corpus: Corpus, part: Part) -> Items:
    """`StorageReader` over file://."""
    from aisio.checkpoint import StorageReader

    with temporary_folder() as folder:
        _save_once(corpus, f"file://{folder}/dcp")
        yield from _load(corpus, part, lambda: StorageReader(f"file://{folder}/dcp"))


def load_torch(corpus: Corpus, part: Part) -> Items:
    """FileSystemReader over the same files."""
    with temporary_folder() as folder:
        _save_once(corpus, f"file://{folder}/dcp")
        reader = _dcp().FileSystemReader
        yield from _load(corpus, part, lambda: reader(f"{folder}/dcp"))


def load_s3(corpus: Corpus, part: Part) -> Items:
    """`StorageReader` over s3:// on moto's server."""
    from aisio.checkpoint import StorageReader

    with _s3_server() as endpoint:
        options: dict[str, Any] = {"direct": DirectSettings(endpoint, "us-east-1", KEYS)}
        _save_once(corpus, "s3://bucket/dcp", **options)
        yield from _load(corpus, part, lambda: StorageReader("s3://bucket/dcp", **options))


def load_connector(corpus: Corpus, part: Part) -> Items:
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
        yield from _load(corpus, part, make)


def _load(corpus: Corpus, part: Part, make: Callable[[], Any]) -> Items:
    size = corpus.large_bytes // (4 * TENSORS) // part.share
    torch = import_module("torch")
    # Its other threads would compete with the load: after each tensor that they have filled, they
    # wait for the next one for some milliseconds, and do not sleep.
    torch.set_num_threads(1)
    state = {f"layer {number}": torch.ones(size) for number in range(0, TENSORS, part.step)}
    dcp = _dcp()
    planner = None if part.share == 1 else _shares(size)
    yield READY
    dcp.load(state, storage_reader=make(), planner=planner, no_dist=True)
    yield sum(tensor.nbytes for tensor in state.values())
    wrong = [name for name, tensor in state.items() if tensor[-1] != int(name.split()[1])]
    if wrong:
        raise ValueError(f"not loaded: {wrong}")


def _shares(size: int) -> Any:
    """Return a planner that loads the second `size` elements of each tensor, as a rank would."""
    import torch
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
    from torch.distributed.checkpoint.metadata import ChunkStorageMetadata
    from torch.distributed.checkpoint.planner import LoadPlan
    from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

    share = ChunkStorageMetadata(torch.Size([size]), torch.Size([size]))

    class Shares(DefaultLoadPlanner):
        def create_local_plan(self) -> LoadPlan:
            stored: Any = self.metadata and self.metadata.state_dict_metadata
            reads = (
                create_read_items_for_chunk_list(name, stored[name], [share])
                for name in self.state_dict
            )
            return LoadPlan([read for of_tensor in reads for read in of_tensor])

        def lookup_tensor(self, index: Any) -> Any:
            return self.state_dict[index.fqn]

    return Shares()


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
    with (
        temporary_folder() as folder,
        (errors := folder / "errors").open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out) as server,
    ):
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
            with unmeasured():
                server.terminate()
                server.wait()


def cases(part: Part) -> Mapping[str, Reader]:
    """Return the readers of a part."""
    return {
        "aisio StorageReader, ais://": partial(load_served, part=part),
        "aisio StorageReader, file://": partial(load_local, part=part),
        "torch FileSystemReader, local": partial(load_torch, part=part),
    }


def s3_cases(part: Part) -> Mapping[str, Reader]:
    """Return the readers of a part on one S3 server."""
    return {
        "aisio StorageReader, s3://": partial(load_s3, part=part),
        "s3torchconnector dcp_optimized": partial(load_connector, part=part),
    }
