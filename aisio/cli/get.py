"""`aisio get`: objects -> files."""

from __future__ import annotations

import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import click

from aisio.cli.cluster import Cluster
from aisio.cli.named import SOURCE, CatalogName
from aisio.cli.output import binary_stdout, byte_progress
from aisio.errors import ConfigError, TruncatedError
from aisio.urls import ObjectUrl

if TYPE_CHECKING:
    from aisio.records import ByteRange, ObjectInfo
    from aisio.source_kinds import Source
    from aisio.streams import Body

    Opening: TypeAlias = Callable[[], Body]
    """Opens the object, or the part of it, that is to be written."""

COPY_BYTES = 1024 * 1024
_MOST_TRIES = 3


@click.command("get", short_help="Write objects to files.")
@click.argument("url", type=SOURCE)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("-r", "--recursive", is_flag=True, help="All that begin with URL, into a folder.")
@click.option("--start", type=click.IntRange(min=0), help="First byte, counted from 0.")
@click.option("--stop", type=click.IntRange(min=1), help="One past the last byte.")
@click.pass_obj
def command(
    cluster: Cluster,
    url: ObjectUrl | CatalogName,
    file: Path | None,
    recursive: bool,
    start: int | None,
    stop: int | None,
) -> None:
    """Write the object at URL to FILE, by default under the last part of its name; "-" is stdout.

    A file is replaced when all bytes have arrived and are the ones that the store promised; until
    then it is left alone. With --recursive, FILE is a folder, by default the current one, and gets
    the folders behind the last "/" of URL; or all objects of catalog://NAME, a source of the
    catalog.
    """
    byte_range = byte_range_of(start, stop)
    if recursive:
        if byte_range or file == Path("-"):
            raise click.UsageError("--recursive goes into a folder and takes whole objects")
        _get_all(_source(cluster, url), file or Path())
    elif isinstance(url, CatalogName):
        raise click.UsageError(f"{url.text} may be many objects: --recursive takes them all")
    else:
        opening = partial(cluster.store(url).get, url.require_object(), byte_range)
        if file == Path("-"):
            with opening() as body, binary_stdout() as out:
                copy(body, out)
        else:
            _get(opening, url.name, file or Path())


def _source(cluster: Cluster, url: ObjectUrl | CatalogName) -> Source:
    from aisio.source_kinds import PrefixSource

    if isinstance(url, CatalogName):
        return url.source(cluster)
    return PrefixSource(cluster.store(url), url)


def byte_range_of(start: int | None, stop: int | None) -> ByteRange | None:
    """Return the range that --start and --stop mean; None for the whole object.

    Raises:
        UsageError: It holds no byte.
    """
    from aisio.records import ByteRange

    if stop is not None and stop <= (start or 0):
        raise click.UsageError(f"--start {start} --stop {stop}: there is no byte between them")
    return None if start is None and stop is None else ByteRange(start or 0, stop)


def copy(body: Body, out: BinaryIO, show: Callable[[int], None] | None = None) -> None:
    """Write a body out, telling `show` how far it is; at its end it raises if it is not right."""
    done = 0
    while data := body.read(COPY_BYTES):
        out.write(data)
        done += len(data)
        if show:
            show(done)


def _get_all(source: Source, folder: Path) -> None:
    from aisio.source_kinds import MixedSource

    mixed = isinstance(source.unpinned, MixedSource)
    written: dict[Path, str] = {}
    for info in source.list():
        name = _name_below(source.base_url, info)
        if info.name.endswith("/") and not info.size_bytes:
            continue  # not a file: how some tools mark a folder in a bucket
        path = folder / _checked(name, info.url)
        if mixed and written.setdefault(path, info.url) != info.url:
            raise ConfigError(f"get {info.url}: {path} is where {written[path]} was written")
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"get {info.url}: {path.parent} is a link that leads out of {folder}")
        path.parent.mkdir(parents=True, exist_ok=True)
        _get(partial(source.get, info), info.name, path)


def _name_below(base_url: str, info: ObjectInfo) -> str:
    is_below = base_url and info.url.startswith(base_url)
    return info.url.removeprefix(base_url) if is_below else info.name


def _checked(name: str, url: str) -> str:
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\0" in name:
        raise ConfigError(f"get {url}: {name!r} cannot be a file inside a folder; get it alone")
    return name


def _get(opening: Opening, name: str, file: Path) -> None:
    last = PurePosixPath(name).name
    path = file / last if file.is_dir() else file
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with path.open("wb") as out:
            _copy_all(opening, last, out)
    else:
        _replace(path, opening, last)


def _replace(path: Path, opening: Opening, title: str) -> None:
    """Read again what was cut and cannot be gone on with, as a store without versions has it."""
    from aisio.files import replaced_when_done

    with replaced_when_done(path) as out:
        for _ in range(_MOST_TRIES - 1):
            try:
                return _fill(opening, title, out)
            except TruncatedError:
                continue
        return _fill(opening, title, out)


def _fill(opening: Opening, title: str, out: BinaryIO) -> None:
    from aisio.ranges import FileTarget, read_out

    with opening() as body, byte_progress(body.size_bytes, title) as show:
        read_out(body, FileTarget(out.fileno()), show=show)


def _copy_all(opening: Opening, title: str, out: BinaryIO) -> None:
    with opening() as body, byte_progress(body.size_bytes, title) as show:
        copy(body, out, show)
