"""A model in one safetensors file, loaded into the processor's memory.

"Cold" begins with a file that is not in the page cache of the machine that has it: an embedded
gateway's, or the local one. All readers touch every page of the tensors that they deliver: some map
a file, and read it only then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from by_hand import Connections, addresses, fill
from corpus import MODEL, Corpus, model_header
from measuring import READY, Items, Reader, temporary_folder
from peers import Unsuited

RANGE_BYTES = 16 * 1024 * 1024
RANGES_AT_ONCE = 8
PAGE_BYTES = 4096

Tensors: TypeAlias = Mapping[str, Any]
Load: TypeAlias = Callable[[str], Tensors]
"""Loads a local file."""


def load_aisio(url: str, endpoint: str | None = None) -> Tensors:
    """`load_file`, verified."""
    from aisio.checkpoint.safetensors import load_file

    return load_file(url, endpoint=endpoint)


def load_aisio_one_by_one(url: str, endpoint: str | None = None) -> Tensors:
    """`safe_open`, and `get_tensor` of all tensors in the order of the file."""
    from aisio.checkpoint.safetensors import safe_open

    with safe_open(url, endpoint=endpoint) as file:
        return {name: file.get_tensor(name) for name in file.offset_keys()}


def load_library(path: str) -> Tensors:
    """`safetensors.torch.load_file`."""
    found: Tensors = import_module("safetensors.torch").load_file(path)
    return found


def load_model_streamer(path: str) -> Tensors:
    """Run:ai's model streamer."""
    with import_module("runai_model_streamer").SafetensorsStreamer() as streamer:
        streamer.stream_file(path)
        return dict(streamer.get_tensors())


def load_fastsafetensors(path: str) -> Tensors:
    """fastsafetensors, without GPU."""
    package = import_module("fastsafetensors")
    loader = package.SafeTensorsFileLoader(package.SingleGroup(), device="cpu", nogds=True)
    loader.add_filenames({0: [path]})
    files = loader.copy_files_to_device()
    # Its memory ends with the two objects: the copy is what a program could keep.
    tensors = {name: files.get_tensor(name).clone() for name in files.key_to_rank_lidx}
    files.close()
    loader.close()
    return tensors


def read_by_hand(corpus: Corpus, ranges_at_once: int) -> Items:
    """http.client, ranges of 16 MiB at once into the same memory; where they are is known."""
    import torch

    (address,) = addresses(corpus, [MODEL])
    start = len(model_header(corpus)[0])
    local = threading.local()

    def read(view: memoryview, at: int) -> int:
        if not hasattr(local, "connections"):
            local.connections = Connections()
        first = start + at
        part = view[at : at + RANGE_BYTES]
        reply = local.connections.get(address, Range=f"bytes={first}-{first + len(part) - 1}")
        return fill(reply, part)

    yield READY
    array: Any = torch.empty(corpus.large_bytes, dtype=torch.uint8).numpy()
    with ThreadPoolExecutor(ranges_at_once) as threads:
        steps = range(0, corpus.large_bytes, RANGE_BYTES)
        yield sum(threads.map(partial(read, memoryview(array)), steps))


def from_store(load: Callable[[str, str], Tensors], corpus: Corpus) -> Items:
    """Load the model from the cluster."""
    _prepare()
    yield READY
    yield touched(load(f"ais://{corpus.bucket}/{MODEL}", corpus.endpoint))


def downloaded(load: Load, corpus: Corpus) -> Items:
    """Download the model by `Object.get(into=)`, and load it from the file."""
    from aisio import Client

    _prepare()
    item = Client(corpus.endpoint).bucket(corpus.bucket).object(MODEL)
    with temporary_folder() as folder:
        path = folder / "model.safetensors"
        yield READY
        item.get(into=path)
        yield touched(load(str(path)))


def from_file(load: Load, is_cold: bool, corpus: Corpus) -> Items:
    """Load the model from a local file."""
    from aisio import Client

    _prepare()
    with temporary_folder() as folder:
        path = folder / "model.safetensors"
        Client(corpus.endpoint).bucket(corpus.bucket).object(MODEL).get(into=path)
        if is_cold:
            evict(path)
        yield READY
        yield touched(load(str(path)))


def cold(reader: Reader, corpus: Corpus) -> Items:
    """Run a reader after the gateway's file was dropped from the page cache.

    Raises:
        Unsuited: The files are on other machines.
    """
    if not corpus.folder:
        raise Unsuited("the files of a cluster cannot be dropped from its page cache")
    for path in Path(corpus.folder).rglob(Path(MODEL).name):
        evict(path)
    yield from reader(corpus)


def evict(path: Path) -> None:
    """Write a file out, and drop it from the page cache."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def touched(tensors: Tensors) -> int:
    """Read a byte of each page of all tensors; return how many bytes they have."""
    import torch

    for tensor in tensors.values():
        tensor.view(torch.uint8)[::PAGE_BYTES].sum()
    return sum(tensor.nbytes for tensor in tensors.values())


def _prepare() -> None:
    """Import what the readers need: the clock does not run yet."""
    import_module("aisio.checkpoint.safetensors")
    import_module("safetensors.torch")


def _local_url(load: Callable[[str], Tensors], path: str) -> Tensors:
    return load(f"file://{path}")


CASES: Mapping[str, Reader] = {
    "aisio load_file": partial(from_store, load_aisio),
    "aisio safe_open, one by one": partial(from_store, load_aisio_one_by_one),
    "by hand: 1 response": partial(read_by_hand, ranges_at_once=1),
    "by hand: 8 ranges": partial(read_by_hand, ranges_at_once=RANGES_AT_ONCE),
    "downloaded, safetensors": partial(downloaded, load_library),
    "downloaded, model streamer": partial(downloaded, load_model_streamer),
    "downloaded, fastsafetensors": partial(downloaded, load_fastsafetensors),
}
COLD_CASES: Mapping[str, Reader] = {name: partial(cold, reader) for name, reader in CASES.items()}
_LOADERS: Mapping[str, Load] = {
    "aisio load_file": partial(_local_url, load_aisio),
    "safetensors": load_library,
    "model streamer": load_model_streamer,
    "fastsafetensors": load_fastsafetensors,
}
LOCAL_CASES: Mapping[str, Reader] = {
    name: partial(from_file, load, False) for name, load in _LOADERS.items()
}
LOCAL_COLD_CASES: Mapping[str, Reader] = {
    name: partial(from_file, load, True) for name, load in _LOADERS.items()
}
