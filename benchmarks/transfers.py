"""Small objects into files, each a whole file or none at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from corpus import Corpus
from measuring import READY, Items


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


def small_url(corpus: Corpus) -> str:
    """Return the URL of the folder of the small objects."""
    folder = corpus.small_names[0].rpartition("/")[0]
    return f"ais://{corpus.bucket}/{folder}/"


@contextmanager
def new_folder() -> Iterator[Path]:
    """Yield an empty folder; in memory if possible, as disks differ from run to run."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


CASES = {
    "aisio get_all, no files": in_flight,
    "aisio get_all, write_bytes": in_flight_into_files,
    "aisio transfer.copy": copy,
    "aisio cp": cp,
}
