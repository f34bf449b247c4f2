"""Where URLs on the command line lead: to the cluster that it names, or to local files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.errors import AisioError, NotFoundError, UrlError
from aisio.sources.nothing_found import no_name_begins_so, pattern_hint
from aisio.urls import ALIASES, FILE, MEMORY, ObjectUrl

if TYPE_CHECKING:
    _ParamType = click.ParamType[ObjectUrl]
    _TextType = click.ParamType[str]
    from aisio.client.client import Client
    from aisio.stores import Store
else:
    _ParamType = _TextType = click.ParamType

SCHEME_HINT = "a path is one of this machine; for a bucket, write ais://bucket/name"


@dataclass(frozen=True)
class Cluster:
    """The cluster that commands talk to, if they need one.

    Attributes:
        endpoint: As the command line gives it; None leaves it to AIS_ENDPOINT.
    """

    endpoint: str | None

    def client(self) -> Client:
        """Return a client of the cluster.

        Raises:
            ConfigError: No endpoint is known.
        """
        from aisio.client.client import Client

        return Client(self.endpoint)

    def store(self, url: ObjectUrl) -> Store:
        """Return the store that holds a URL; a client is made only where one is needed."""
        from aisio.stores import store_for

        return store_for(url, self.client() if self.endpoint else None)

    def create_bucket(self, url: ObjectUrl) -> None:
        """Create the bucket of a URL if there is none; folders come by themselves.

        Raises:
            ConfigError: It is in a cloud that is reached directly.
        """
        from aisio.client.client import Bucket
        from aisio.errors import ConfigError
        from aisio.stores import AisStore

        store = self.store(url)
        if isinstance(store, AisStore):
            Bucket(store.client, url.with_name("")).create(exist_ok=True)
        elif url.provider not in (FILE, MEMORY):
            raise ConfigError(f"{url.root} cannot be created from here: use the cloud's own tools")

    @contextmanager
    def hints(self, url: ObjectUrl) -> Iterator[None]:
        """Add to the error of an object that is not there what may have been meant.

        Raises:
            NotFoundError: As it was raised, with a hint.
        """
        try:
            yield
        except NotFoundError as error:
            hint = SCHEME_HINT if url.provider == FILE else self._name_hint(url)
            if not hint or hint in str(error):
                raise
            raise _with_hint(error, hint) from error

    def _name_hint(self, url: ObjectUrl) -> str:
        if hint := pattern_hint(url.name):
            return hint
        with suppress(AisioError):
            folder = url.with_name(f"{url.name}/")
            if next(iter(self.store(url).list(folder)), None) is not None:
                return f"there are objects below {folder}: `aisio get --recursive` writes them all"
        return ""

    def nothing_below(self, url: ObjectUrl) -> NotFoundError:
        """Return the error of a bucket that is not there, or a prefix that matches nothing."""
        if not url.name and url.provider != FILE:
            return NotFoundError(f"{url}: there is no such bucket", url=str(url))
        return no_name_begins_so(str(url), SCHEME_HINT if url.provider == FILE else "")


@contextmanager
def bucket_hint(store: Store) -> Iterator[None]:
    """Say, in the error of a bucket to write to that is not there, how it is created.

    Raises:
        NotFoundError: As it was raised, with the hint.
    """
    from aisio.stores import AisStore

    try:
        yield
    except NotFoundError as error:
        if not isinstance(store, AisStore):
            raise
        raise _with_hint(error, "--create-bucket creates the bucket") from error


def _with_hint(error: NotFoundError, hint: str) -> NotFoundError:
    return NotFoundError(f"{error}; {hint}", url=error.url, status=error.status)


class UrlType(_ParamType):
    """An argument that is a URL, or a path of a local file or folder."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl; that of a folder ends in "/", or data would also mean data2."""
        if isinstance(value, ObjectUrl):
            return value
        if not value:
            self.fail("a URL or path cannot be empty", param, ctx)
        try:
            return _local_url(value) if _is_path(value) else ObjectUrl.parse(value)
        except UrlError as error:
            self.fail(str(error), param, ctx)


class DestinationType(UrlType):
    """A URL or path to write to; a path that may be a URL without its scheme is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl, as `UrlType` has it."""
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


class FileType(_TextType):
    """A local file or folder, as a path or a file:// URL; "-" stays as it is."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a final "/" is kept."""
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
            f"{str(url)!r}: a local file is needed here, not a URL of an object; to copy from one "
            f"store to another, write `aisio get URL - | aisio put - URL`",
            param,
            ctx,
        )


URL = UrlType()
DESTINATION = DestinationType()
FILE_PATH = FileType()


def is_local_folder(url: ObjectUrl) -> bool:
    """Tell whether a URL stands for all that is in a folder of this machine."""
    is_whole = not url.name or url.name.endswith("/")
    return url.provider == FILE and is_whole and Path("/", url.name).is_dir()


def _is_path(text: str) -> bool:
    scheme, _, _ = text.partition(":")
    return "://" not in text and scheme not in ALIASES


def _local_url(text: str) -> ObjectUrl:
    path = os.path.abspath(text)  # noqa: PTH100 - Path.absolute() keeps "..", which no URL may have
    is_folder = text.endswith("/") or Path(path).is_dir()
    name = path.strip("/")
    return ObjectUrl(FILE, "", f"{name}/" if name and is_folder else name, scheme=FILE)
