"""`aisio get`: objects -> files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

import click

from aisio.cli.cluster import Cluster
from aisio.cli.failure_collector import FailureCollector
from aisio.cli.output import byte_progress, byte_range_of, copy
from aisio.cli.standard_streams import binary_stdout
from aisio.cli.types import FILE_PATH, SOURCE, CatalogName
from aisio.errors import ConfigError, ConflictError, TruncatedError
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.records import ObjectInfo
    from aisio.sources.base import Source
    from aisio.transport.body import Body

    OpenBody: TypeAlias = Callable[[], Body]
    """Opens the object, or the byte range of it, that is written."""

_MAX_TRIES = 3


@click.command("get", short_help="Write objects to files.")
@click.argument("url", type=SOURCE)
@click.argument("file", type=FILE_PATH, required=False)
@click.option("-r", "--recursive", is_flag=True, help="All that begin with URL, into a folder.")
@click.option("--start", type=click.IntRange(min=0), help="First byte, counted from 0.")
@click.option("--stop", type=click.IntRange(min=1), help="One past the last byte.")
@click.pass_obj
def command(
    cluster: Cluster,
    url: ObjectUrl | CatalogName,
    file: str | None,
    recursive: bool,
    start: int | None,
    stop: int | None,
) -> None:
    """Write the object at URL to FILE, by default under the last part of its name; "-" is stdout.

    Where FILE is a folder, or ends in "/", the file goes into it. A file is replaced when all bytes
    have arrived and are the ones that the store promised; until then it is left alone. With
    --recursive, FILE is a folder, by default the current one, and gets the folders behind the last
    "/" of URL; or all objects of catalog://NAME, a source of the catalog. An object that
    cannot be written is reported, and the others are written.
    """
    byte_range = byte_range_of(start, stop)
    if recursive:
        if byte_range or file == "-":
            raise click.UsageError("--recursive goes into a folder and takes whole objects")
        _get_below(cluster, url, Path(file or "."))
    elif isinstance(url, CatalogName):
        raise click.UsageError(f"{url.text} may be many objects: --recursive takes them all")
    elif not url.name or url.name.endswith("/"):
        raise click.UsageError(f"{url} names no object: --recursive writes all that are below it")
    else:
        open_body = partial(cluster.store(url).get, url, byte_range)
        with cluster.not_found_hints(url):
            _get(open_body, url.name, file or ".")


def _get_below(cluster: Cluster, url: ObjectUrl | CatalogName, folder: Path) -> None:
    from aisio.sources.kinds import PrefixSource

    if isinstance(url, CatalogName):
        _get_all(url.source(cluster), url.text, folder)
        return
    with cluster.not_found_hints(url):
        _get_all(PrefixSource(cluster.store(url), url), str(url), folder)


def _get_all(source: Source, about: str, folder: Path) -> None:
    from aisio.sources.mixed import MixedSource
    from aisio.sources.nothing_found import no_name_begins_so

    mixed = isinstance(source.unpinned, MixedSource)
    written: dict[Path, str] = {}
    root = _resolved(folder)
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    failures = FailureCollector("objects")
    for info in source.list():
        with failures.collect(info.url):
            path = folder / _checked_name(_relative_name(source.base_url, info), info.url)
            if mixed and written.setdefault(path, info.url) != info.url:
                raise ConfigError(f"get {info.url}: {path} is where {written[path]} was written")
            _check_destination(path, folder, root, info.url)
            _download(partial(source.get, info), path, new_folder=path.parent)
    if not failures.attempted:
        raise no_name_begins_so(about)
    failures.raise_if_any()


def _check_destination(path: Path, folder: Path, root: Path, url: str) -> None:
    """Check that an object can be written to a path below a folder, whose real path is `root`.

    Raises:
        ConfigError: A link leads out of the folder.
        ConflictError: Another kind of file is in the way.
    """
    from aisio.atomic_write import is_special

    for place in (path.parent, path):
        if not _resolved(place).is_relative_to(root):
            raise ConfigError(f"get {url}: {place} is a link that leads out of {folder}")
    nearest = next((place for place in path.parents if os.path.lexists(place)), None)
    if nearest is not None and not nearest.is_dir():
        raise ConflictError(f"get {url}: a file is where {path.parent} should be a folder")
    if path.is_dir() or is_special(path):
        kind = "folder" if path.is_dir() else "pipe, device or socket"
        raise ConflictError(f"get {url}: {path} is a {kind}; get it alone, under another name")


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError for a cycle of links


def _relative_name(base_url: str, info: ObjectInfo) -> str:
    is_below = base_url and info.url.startswith(base_url)
    return info.url.removeprefix(base_url) if is_below else info.name


def _checked_name(name: str, url: str) -> str:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\0" in name:
        raise ConfigError(f"get {url}: {name!r} cannot be a file inside a folder; get it alone")
    return name


def _get(open_body: OpenBody, name: str, file: str) -> None:
    from aisio.atomic_write import is_special, open_special

    if file == "-":
        with open_body() as body, binary_stdout() as out:
            copy(body, out)
        return
    base_name = PurePosixPath(name).name
    path = Path(file)
    if file.endswith("/") and not path.is_dir():
        _download(open_body, path / base_name, new_folder=path)
        return
    if path.is_dir():
        path /= base_name
    if is_special(path):
        with open_special(path) as out, open_body() as body, _progress(body) as show:
            copy(body, out, show)
    else:
        _download(open_body, path)


def _download(open_body: OpenBody, path: Path, *, new_folder: Path | None = None) -> None:
    """Write an object to a file, which is replaced once all bytes have arrived.

    A body that was cut short is read again from its start: a store without versions cannot resume.

    Args:
        open_body: Opens the object.
        path: The file.
        new_folder: Created once the object is open, so that a missing object leaves no folder.
    """
    for tries_left in reversed(range(_MAX_TRIES)):
        try:
            with open_body() as body:
                if new_folder is not None:
                    new_folder.mkdir(parents=True, exist_ok=True)
                _write(body, path)
        except TruncatedError:
            if not tries_left:
                raise
        else:
            return


def _write(body: Body, path: Path) -> None:
    from aisio.atomic_write import atomic_write
    from aisio.transport.parallel import read_into
    from aisio.transport.targets import FileTarget

    with atomic_write(path) as out, _progress(body) as show:
        read_into(body, FileTarget(out.fileno()), show=show)


def _progress(body: Body) -> AbstractContextManager[Callable[[int], None]]:
    return byte_progress(body.size_bytes, PurePosixPath(body.info.name).name)
