"""Click types of the commands' arguments: URLs, local paths, catalog names and sizes."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.urls import ALIASES, FILE, ObjectUrl

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from aisio.cli.cluster import Cluster
    from aisio.sources.catalog_source import CatalogSource

    _IntType = click.ParamType[int]
    _UrlType = click.ParamType[ObjectUrl]
    _TextType = click.ParamType[str]
else:
    _IntType = _UrlType = _TextType = click.ParamType

_SCHEME = "catalog://"


class UrlType(_UrlType):
    """A URL, or the path of a local file or folder."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl; a folder's ends in "/", or "data" would match "data2" too."""
        if isinstance(value, ObjectUrl):
            return value
        if not value:
            self.fail("a URL or path cannot be empty", param, ctx)
        if value == "-":
            self.fail(
                "'-' is not stdin or stdout here: `aisio put - URL` stores stdin, `aisio get "
                "URL -` writes to stdout; a file of this name is ./-",
                param,
                ctx,
            )
        try:
            return local_url(value) if _is_path(value) else ObjectUrl.parse(value)
        except UrlError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the buckets and names of the cluster that begin so, or the shell's files."""
        from aisio.cli.completion import complete_url

        return complete_url(ctx, incomplete)


class BucketType(UrlType):
    """The URL of a bucket of a cluster, as in ais://data."""

    name = "bucket"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl of the bucket."""
        if isinstance(value, str) and value and _is_path(value):
            self.fail(f"{value!r} has no scheme: was ais://{value.strip('/')} meant?", param, ctx)
        url = super().convert(value, param, ctx)
        if url.provider not in ALIASES.values():
            self.fail(f"{str(url)!r} is not in a cluster; was ais:// meant?", param, ctx)
        if url.name:
            self.fail(f"{str(url)!r} is more than a bucket: expected {url.root}", param, ctx)
        return url

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the buckets of the cluster that begin so."""
        from aisio.cli.completion import complete_bucket

        return complete_bucket(ctx, incomplete)


class DestinationType(UrlType):
    """A URL or path to write to; a path that looks like a URL without its scheme is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl, as `UrlType` does."""
        if isinstance(value, str) and _is_path(value):
            first, slash, _ = value.partition("/")
            if slash and first not in ("", ".", "..", "~") and not Path(first).exists():
                self.fail(
                    f"{value!r}: there is no folder {first!r} here; for a bucket write "
                    f"ais://{value}, for a new folder ./{value}",
                    param,
                    ctx,
                )
        return super().convert(value, param, ctx)


class SelectionType(UrlType):
    """A URL or path of what is read: an object, a prefix, or a pattern with wildcards or braces."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl, as `UrlType` does; a pattern that is not valid is refused."""
        url = super().convert(value, param, ctx)
        require_valid_pattern(url)
        return url


class FileType(_TextType):
    """A local file or folder, as a path or a file:// URL; "-" is passed through."""

    name = "path"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell, which completes paths."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, with its final "/" if it has one."""
        if not value:
            self.fail("a path cannot be empty", param, ctx)
        if _is_path(value):
            return value
        try:
            url = ObjectUrl.parse(value)
        except UrlError as error:
            self.fail(str(error), param, ctx)
        if url.provider == FILE:
            return f"/{url.name}"
        return self.fail(
            f"{str(url)!r}: a local file is needed here, not a URL of an object; `aisio cp URL "
            f"URL` copies from one URL to another, `aisio cp URL... FOLDER` takes several URLs",
            param,
            ctx,
        )


@dataclass(frozen=True)
class CatalogName:
    """The name of a source in a catalog.

    Attributes:
        text: As on the command line, such as catalog://team/imagenet-train.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def source(self, cluster: Cluster) -> CatalogSource:
        """Return the source of that name.

        Raises:
            CatalogError: The catalog has no such name, or is invalid.
        """
        from aisio.sources.named import find_source

        return find_source(self.text, client=cluster.client() if cluster.endpoint else None)


class SourceType(SelectionType):
    """A name with catalog://, a URL, or the path of a local file or folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the CatalogName, or the ObjectUrl as `SelectionType` does."""
        if isinstance(value, CatalogName):
            return value
        if isinstance(value, str) and value.startswith(_SCHEME):
            return CatalogName(value)
        return super().convert(value, param, ctx)


class ExistingPath(click.Path):
    """A local file or folder, as a `Path`.

    One that does not exist is a failure, as an object that does not exist is: click would call the
    command line invalid.
    """

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=True, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises:
            FileNotFoundError: There is no such file or folder.
        """
        if not value:
            self.fail("a path cannot be empty", param, ctx)
        if not os.path.lexists(value):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(value))
        return super().convert(value, param, ctx)


class SizeType(_IntType):
    """A number of bytes, optionally with the unit K, M, G or T, powers of 1,024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number of bytes, at least 1."""
        try:
            size = value if isinstance(value, int) else parse_size(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        return size if size > 0 else self.fail("at least 1 is needed", param, ctx)


URL = UrlType()
SELECTION = SelectionType()
BUCKET = BucketType()
DESTINATION = DestinationType()
FILE_PATH = FileType()
SOURCE = SourceType()


def require_object(url: ObjectUrl, all_below: str = "") -> ObjectUrl:
    """Return the URL if it can name one object or file.

    Args:
        url: What the command line names.
        all_below: What takes all objects below a bucket or folder.

    Raises:
        UsageError: It names a bucket or a folder.
    """
    if url.name and not url.name.endswith("/"):
        return url
    what = f"/{url.name} is a folder" if url.provider == FILE else f"{url} names no object"
    raise click.UsageError(f"{what}: {all_below or 'its name must follow'}")


def require_source(url: ObjectUrl, all_below: str) -> ObjectUrl:
    """Return the URL if it can name one object or file to read; see `require_object`.

    Raises:
        NotFoundError: It names a local folder, and there is none.
        UsageError: It names a bucket or a folder.
    """
    path = Path("/", url.name)
    if url.provider == FILE and url.name.endswith("/") and not path.is_dir():
        raise NotFoundError(f"{path}/: there is no such folder", url=str(url))
    return require_object(url, all_below)


def require_valid_pattern(url: ObjectUrl) -> None:
    """Check the wildcards and braces of a URL. Those of an existing file belong to its name.

    Raises:
        UsageError: They are not valid.
    """
    from aisio.patterns.selections import Selections

    if url.provider == FILE and Path("/", url.name).exists():
        return
    try:
        Selections(url.name)
    except UrlError as error:
        raise click.UsageError(str(error)) from error


def _is_path(text: str) -> bool:
    scheme, _, _ = text.partition(":")
    return "://" not in text and scheme not in ALIASES


def local_url(text: str) -> ObjectUrl:
    """Return the URL of a path; that of an existing folder ends in "/"."""
    path = os.path.abspath(text)  # noqa: PTH100 - Path.absolute() keeps "..", which no URL may have
    is_folder = text.endswith("/") or Path(path).is_dir()
    name = path.strip("/")
    return ObjectUrl(FILE, "", f"{name}/" if name and is_folder else name, scheme=FILE)


def parse_size(text: str) -> int:
    """Parse a number of bytes, as in "500", "64K", "256M" or "1G"; K is 1,024.

    Raises:
        ConfigError: The text is not such a number.
    """
    match = re.fullmatch(r"([0-9]{1,18})([KMGT]?)", text.strip().upper())
    if match is None:
        raise ConfigError(f"{text!r} is not a number of bytes: expected one as in 64K, 256M or 1G")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")
