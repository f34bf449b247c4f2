"""`aisio put`: files -> objects."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from aisio.cli.cluster import Cluster, missing_bucket_hint
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import byte_progress
from aisio.cli.standard_streams import binary_stdin
from aisio.cli.types import DESTINATION, FILE_PATH
from aisio.errors import AccessError, ConfigError, NotFoundError, StorageError
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.stores import Store


@click.command("put", short_help="Store files as objects.")
@click.argument("file", type=FILE_PATH)
@click.argument("url", type=DESTINATION)
@click.option("-r", "--recursive", is_flag=True, help="All files of the folder FILE, below URL.")
@click.option("--create-bucket", is_flag=True, help="Create the bucket if there is none.")
@click.pass_obj
def command(
    cluster: Cluster, file: str, url: ObjectUrl, recursive: bool, create_bucket: bool
) -> None:
    """Store FILE as the object at URL, replacing what is there; "-" is stdin.

    A URL of a bucket, or one that ends in "/", takes the file's name. FILE may be a pipe: then URL
    names the object. With --recursive, all files below the folder FILE are stored, links followed
    and hidden ones included; a file that cannot be stored is reported, and the
    others are stored.
    """
    path, is_stdin = Path(file), file == "-"
    if recursive and is_stdin:
        raise click.UsageError("--recursive stores the files of a folder, and stdin is none")
    if not is_stdin and not recursive and path.is_dir():
        raise click.UsageError(f"{file} is a folder: --recursive stores the files in it")
    store = cluster.store(url)
    if create_bucket:
        cluster.create_bucket(url)
    with missing_bucket_hint(store):
        if recursive:
            _put_all(store, path, url)
        elif is_stdin:
            store.put(url.require_object(), binary_stdin())
        else:
            _put(store, path, _target(path, url))


def _target(file: Path, url: ObjectUrl) -> ObjectUrl:
    """Return the object's URL. A pipe, as the shell's <(command) is, gives the object no name."""
    if url.name and not url.name.endswith("/"):
        return url
    if file.exists() and not file.is_file():
        raise click.UsageError(f"{file} is not a file with a name: say which object, below {url}")
    return url.join(file.name)


def _put_all(store: Store, folder: Path, url: ObjectUrl) -> None:
    from aisio.shards.pack_files import walk_folder

    failures = FailureCollector("files", fatal=(NotFoundError, AccessError))

    def collect(name: str, error: StorageError) -> None:
        with failures.collect(name):
            raise error

    for file in walk_folder(folder, on_error=collect):
        with failures.collect(file.name):
            _put(store, folder / file.name, url.join(file.name))
    if not failures.attempted:
        raise ConfigError(f"put {folder}: there are no files in this folder")
    failures.raise_if_any()


def _put(store: Store, file: Path, url: ObjectUrl) -> None:
    size = file.stat().st_size if file.is_file() else None
    with byte_progress(size, file.name) as show, _ProgressFile(file, show) as data:
        store.put(url, cast(BinaryIO, data))


class _ProgressFile(io.FileIO):
    """A file that reports how far it has been read, also after a retry has rewound it."""

    def __init__(self, file: Path, show: Callable[[int], None]) -> None:
        super().__init__(file)
        self._show = show
        self._done = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = super().read(size)
        self._done += len(data)
        self._show(self._done)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._done = super().seek(offset, whence)
        return self._done
