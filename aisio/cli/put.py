"""`aisio put`: files -> objects."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from aisio.cli.cluster import URL, Cluster
from aisio.cli.output import byte_progress
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.stores import Store


@click.command("put", short_help="Store files as objects.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("url", type=URL)
@click.option("-r", "--recursive", is_flag=True, help="All files of the folder FILE, below URL.")
@click.option("--create-bucket", is_flag=True, help="Create the bucket if there is none.")
@click.pass_obj
def command(
    cluster: Cluster, file: Path, url: ObjectUrl, recursive: bool, create_bucket: bool
) -> None:
    """Store FILE as the object at URL, replacing what is there; "-" is stdin.

    A URL of a bucket, or one that ends in "/", takes the file's name. With --recursive, all files
    below the folder FILE are stored, links followed and hidden ones included.
    """
    store = cluster.store(url)
    if create_bucket:
        cluster.create_bucket(url)
    if recursive:
        _put_all(store, file, url)
    elif file == Path("-"):
        store.put(url.require_object(), sys.stdin.buffer)
    else:
        _put(store, file, url.join(file.name) if not url.name or url.name.endswith("/") else url)


def _put_all(store: Store, folder: Path, url: ObjectUrl) -> None:
    from aisio.packing import walk_folder

    for found in walk_folder(folder):
        _put(store, folder / found.name, url.join(found.name))


def _put(store: Store, file: Path, url: ObjectUrl) -> None:
    with byte_progress(file.stat().st_size, file.name) as show, _WatchedFile(file, show) as data:
        store.put(url, cast(BinaryIO, data))


class _WatchedFile(io.FileIO):
    """A file that tells how far it has been read, also when it is read again from its start."""

    def __init__(self, file: Path, show: Callable[[int], None]) -> None:
        super().__init__(file)
        self._show = show

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = super().read(size)
        self._show(self.tell())
        return data
