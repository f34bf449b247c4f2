"""`aisio get`: objects -> files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from aisio.cli.cluster import Cluster
from aisio.cli.output import byte_range_of, copy
from aisio.cli.progress import Progress, show_progress
from aisio.cli.standard_streams import binary_stdout
from aisio.cli.transfers import (
    require_another_file,
    run_transfer,
    transfer_options,
    transfer_settings,
)
from aisio.cli.types import FILE_PATH, SOURCE, CatalogName, local_url, require_source
from aisio.errors import TruncatedError
from aisio.urls import FILE, ObjectUrl

if TYPE_CHECKING:
    from aisio.transport.body import Body

    OpenBody: TypeAlias = Callable[[], Body]
    """Opens the object, or the byte range of it, that is written."""

_MAX_TRIES = 3
_ALL_BELOW = "--recursive writes all that are below it"


@click.command("get", short_help="Write objects to files.")
@click.argument("url", type=SOURCE)
@click.argument("file", type=FILE_PATH, required=False)
@click.option(
    "-r", "-R", "--recursive", is_flag=True, help="All that begin with URL, into a folder."
)
@click.option("--start", type=click.IntRange(min=0), help="First byte, counted from 0.")
@click.option("--stop", type=click.IntRange(min=1), help="One past the last byte.")
@transfer_options(create_bucket=False)
@click.pass_obj
def command(
    cluster: Cluster,
    /,
    url: ObjectUrl | CatalogName,
    file: str | None,
    recursive: bool,
    start: int | None,
    stop: int | None,
    **flags: Any,
) -> None:
    """Write the object at URL to FILE, by default under the last part of its name; "-" is stdout.

    Where FILE is a folder, or ends in "/", the file goes into it. A file is replaced when all bytes
    have arrived and are the ones that the store promised; until then it is left alone. With
    --recursive, FILE is a folder, by default the current one, and gets the folders behind the last
    "/" of URL; or all objects of catalog://NAME, a source of the catalog. So it does where URL has
    wildcards or braces, as in 'ais://data/*.jpg'. An object that cannot be written is reported, and
    the others are written.
    """
    byte_range = byte_range_of(start, stop)
    if recursive or (isinstance(url, ObjectUrl) and _is_pattern(cluster, url)):
        if byte_range or file == "-":
            raise click.UsageError("many objects go into a folder, and as a whole")
        _get_many(cluster, url, file or ".", as_prefix=True, **flags)
    elif isinstance(url, CatalogName):
        raise click.UsageError(f"{url.text} may be many objects: --recursive takes them all")
    elif any(flags.values()):
        require_source(url, _ALL_BELOW)
        if byte_range or file == "-":
            raise click.UsageError(f"{_given(flags)}: only for whole objects that go into files")
        _get_many(cluster, url, file or ".", as_prefix=False, **flags)
    else:
        open_body = partial(cluster.store(url).get, require_source(url, _ALL_BELOW), byte_range)
        with cluster.not_found_hints(url):
            _get(open_body, url, file or ".")


def _given(flags: Mapping[str, Any]) -> str:
    """Return the options of a transfer that are on the command line, as they are written."""
    options = click.get_current_context().command.params
    return ", ".join(max(one.opts, key=len) for one in options if flags.get(one.name or ""))


def _is_pattern(cluster: Cluster, url: ObjectUrl) -> bool:
    from aisio.transfer.trees import is_pattern

    return is_pattern(cluster.store(url), url)


def _get_many(
    cluster: Cluster,
    url: ObjectUrl | CatalogName,
    file: str,
    *,
    as_prefix: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    options = transfer_settings(recursive=as_prefix, as_prefix=as_prefix, **flags)
    run_transfer(cluster, [url], local_url(file), options, as_json=as_json, path=Path(file))


def _get(open_body: OpenBody, url: ObjectUrl, file: str) -> None:
    from aisio.atomic_write import is_special, open_special

    if file == "-":
        with open_body() as body, binary_stdout() as out:
            copy(body, out)
        return
    path = Path(file)
    if file.endswith("/") or path.is_dir():
        path /= PurePosixPath(url.name).name
    if url.provider == FILE:
        require_another_file(Path("/", url.name), path)
    if is_special(path):
        with open_special(path) as out, open_body() as body, _progress(body) as progress:
            copy(body, out, progress.update_to)
    else:
        _download(open_body, path)


def _download(open_body: OpenBody, path: Path) -> None:
    """Write an object to a file, which is replaced once all bytes have arrived.

    A body that was cut short is read again from its start: a store without versions cannot resume.
    Folders are created once the object is open, so that a missing object leaves none.
    """
    for tries_left in reversed(range(_MAX_TRIES)):
        try:
            with open_body() as body:
                path.parent.mkdir(parents=True, exist_ok=True)
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

    with atomic_write(path) as out, _progress(body) as progress:
        read_into(body, FileTarget(out.fileno()), show=progress.update_to)


def _progress(body: Body) -> AbstractContextManager[Progress]:
    return show_progress(PurePosixPath(body.info.name).name, body.size_bytes)
