"""`aisio put`: files -> objects."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from aisio.cli.cluster import Cluster, missing_bucket_hint
from aisio.cli.progress import show_progress
from aisio.cli.standard_streams import binary_stdin
from aisio.cli.transfers import (
    require_another_file,
    run_transfer,
    transfer_options,
    transfer_settings,
)
from aisio.cli.types import (
    DESTINATION,
    FILE_PATH,
    local_url,
    require_object,
    require_valid_pattern,
)
from aisio.urls import FILE, ObjectUrl

if TYPE_CHECKING:
    from aisio.stores import Store


@click.command("put", short_help="Store files as objects.")
@click.argument("files", metavar="FILE...", type=FILE_PATH, nargs=-1, required=True)
@click.argument("url", type=DESTINATION)
@click.option(
    "-r", "-R", "--recursive", is_flag=True, help="All files of the folder FILE, below URL."
)
@transfer_options()
@click.pass_obj
def command(
    cluster: Cluster,
    /,
    files: tuple[str, ...],
    url: ObjectUrl,
    recursive: bool,
    **flags: Any,
) -> None:
    """Store FILE as the object at URL, replacing what is there; "-" is stdin.

    A URL of a bucket, or one that ends in "/", takes the file's name. FILE may be a pipe: then URL
    names the object. With --recursive, all files below the folder FILE are stored, links followed
    and hidden ones included. Several files, and a FILE with wildcards in quotation marks, go into
    the folder or bucket at URL. A file that cannot be stored is reported, and the others are
    stored.
    """
    if "-" in files and (recursive or len(files) > 1):
        raise click.UsageError("--recursive stores the files of a folder, and stdin is none")
    for file in files:
        if not recursive and Path(file).is_dir():
            raise click.UsageError(f"{file} is a folder: --recursive stores the files in it")
        if not _is_path(file):
            require_valid_pattern(local_url(file))
    if files == ("-",):
        require_object(url, "stdin has no name that could follow")
    is_plain = not any(value for name, value in flags.items() if name != "create_bucket")
    if len(files) == 1 and not recursive and (files == ("-",) or (is_plain and _is_path(files[0]))):
        _put_one(cluster, files[0], url, flags["create_bucket"])
        return
    as_json = flags.pop("as_json")
    options = transfer_settings(recursive=recursive, **flags)
    sources = [local_url(file) for file in files]
    run_transfer(cluster, sources, url, options, as_json=as_json, item_kind="files")


def _is_path(file: str) -> bool:
    """Whether a text is the path of a file, or could be one, and no pattern."""
    return Path(file).exists() or not set(file) & set("*?[{")


def _put_one(cluster: Cluster, file: str, url: ObjectUrl, create_bucket: bool) -> None:
    path, store = Path(file), cluster.store(url)
    if create_bucket:
        cluster.create_bucket(url)
    with missing_bucket_hint(store):
        if file == "-":
            store.put(url, binary_stdin())
        else:
            _put(store, path, _target(path, url))


def _target(file: Path, url: ObjectUrl) -> ObjectUrl:
    """Return the object's URL. A pipe, as the shell's <(command) is, gives the object no name."""
    if url.name and not url.name.endswith("/"):
        return url
    if file.exists() and not file.is_file():
        raise click.UsageError(f"{file} is not a file with a name: say which object, below {url}")
    return url.join(file.name)


def _put(store: Store, file: Path, url: ObjectUrl) -> None:
    if url.provider == FILE:
        require_another_file(file, Path("/", url.name))
    size = file.stat().st_size if file.is_file() else None
    with (
        show_progress(file.name, size) as progress,
        _ProgressFile(file, progress.update_to) as data,
    ):
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
