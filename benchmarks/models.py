"""A model of several files, loaded as safetensors does it: mapped, and each page touched.

"From disk" is a file that was flushed and dropped from the page cache by posix_fadvise: the case of
a model that was downloaded some time ago, or that is larger than the memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from by_hand import Connections, addresses, fill
from corpus import MODEL_FILES, Corpus
from measuring import READY, Items, Reader, temporary_folder

PAGE_BYTES = 4096
RANGES_AT_ONCE = 8


def prepare_aisio(corpus: Corpus) -> Items:
    """`ModelDirectory`, verified, into shared memory; then loaded."""
    with new_folder() as folder:
        yield READY
        with _directory(corpus, folder / "model"):
            yield load(folder / "model")


def prepare_aisio_in_background(corpus: Corpus) -> Items:
    """The same, loaded while the files come."""
    with new_folder() as folder:
        yield READY
        with _directory(corpus, folder / "model", in_background=True):
            yield load(folder / "model")


def prepare_aisio_again(corpus: Corpus) -> Items:
    """`ModelDirectory` of a model that another one has in memory: listed, linked and loaded."""
    with new_folder() as folder, _directory(corpus, folder / "first"):
        yield READY
        with _directory(corpus, folder / "model"):
            yield load(folder / "model")


def download_and_load(corpus: Corpus) -> Items:
    """`Object.get(into=)` files, verified; then loaded from the page cache."""
    with new_folder() as folder:
        yield READY
        download(corpus, folder)
        yield load(folder)


def download_and_load_from_disk(corpus: Corpus) -> Items:
    """The same, dropped from the page cache before they are loaded."""
    with new_folder() as folder:
        yield READY
        download(corpus, folder)
        drop_from_cache(folder)
        yield load(folder)


def load_copy(corpus: Corpus) -> Items:
    """A copy on the disk, which is in the page cache."""
    with new_folder() as folder:
        download(corpus, folder)
        yield READY
        yield load(folder)


def load_copy_from_disk(corpus: Corpus) -> Items:
    """A copy on the disk, which is not."""
    with new_folder() as folder:
        download(corpus, folder)
        drop_from_cache(folder)
        yield READY
        yield load(folder)


def read_by_hand(corpus: Corpus) -> Items:
    """http.client, eight ranges at once of each file, into anonymous memory: not verified."""
    places = addresses(corpus, corpus.names("model_files"))
    yield READY
    done = 0
    with ThreadPoolExecutor(RANGES_AT_ONCE) as threads:
        for address in places:
            view = memoryview(bytearray(corpus.model_file_bytes))
            step = -(-len(view) // RANGES_AT_ONCE)

            def read(start: int) -> int:
                part = view[start : start + step]  # noqa: B023 - done before the next file
                span = f"bytes={start}-{start + len(part) - 1}"
                return fill(Connections().get(address, Range=span), part)  # noqa: B023

            done += sum(threads.map(read, range(0, len(view), step)))
    yield done


def load(folder: Path) -> int:
    """Map all files of a model and touch each page; return how many bytes they have."""
    import torch

    done = 0
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        mapped = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
        mapped[::PAGE_BYTES].sum()
        done += size
    return done


def download(corpus: Corpus, folder: Path) -> None:
    """Download the files of the model, one behind the other, each by parallel ranges."""
    from aisio import Client

    bucket = Client(corpus.endpoint).bucket(corpus.bucket)
    for name in corpus.names("model_files"):
        bucket.object(name).get(into=folder / Path(name).name)


def drop_from_cache(folder: Path) -> None:
    """Write the files of a folder to the disk, and drop them from the page cache."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


@contextmanager
def new_folder() -> Iterator[Path]:
    """Yield an empty folder of the disk, after the imports, which are not measured."""
    import torch  # noqa: F401

    import aisio.models.directory  # noqa: F401

    with temporary_folder() as folder:
        yield folder


def _directory(
    corpus: Corpus, path: Path, *, in_background: bool = False
) -> AbstractContextManager[object]:
    from aisio import MemoryOptions, ModelDirectory

    return ModelDirectory(
        f"ais://{corpus.bucket}/model_files/",
        path,
        endpoint=corpus.endpoint,
        in_background=in_background,
        memory=MemoryOptions(from_bytes=1, concurrency=MODEL_FILES),
    )


COLD_CASES: Mapping[str, Reader] = {
    "aisio ModelDirectory": prepare_aisio,
    "aisio ModelDirectory, in background": prepare_aisio_in_background,
    "download, then load": download_and_load,
    "download, then load from disk": download_and_load_from_disk,
    "by hand: 8 ranges, not verified": read_by_hand,
}
WARM_CASES: Mapping[str, Reader] = {
    "aisio ModelDirectory": prepare_aisio_again,
    "a local copy, in the page cache": load_copy,
    "a local copy, from disk": load_copy_from_disk,
}
