"""The store that a command's URL leads to, and hints for URLs that lead to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aisio.cli.habits import BUCKETS_HINT
from aisio.errors import AisioError, NotFoundError
from aisio.sources.nothing_found import no_name_begins_so
from aisio.urls import FILE, MEMORY, WEB_SCHEMES, ObjectUrl

if TYPE_CHECKING:
    from aisio.client.client import Client
    from aisio.sources.base import Source
    from aisio.stores import Store

SCHEME_HINT = "a path names a file of this machine; for a bucket, write ais://bucket/name"


@dataclass(frozen=True)
class Cluster:
    """The cluster that commands use, if they need one.

    Attributes:
        endpoint: From the command line; None means AIS_ENDPOINT.
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

    def pattern_source(self, url: ObjectUrl) -> Source | None:
        """Return the source of a URL with braces or wildcards; None if it has none.

        Those of an existing local file or folder belong to its name, and a web server, which has no
        listing, has braces alone: its "?" begins a query.

        Raises:
            UrlError: Braces or wildcards are not valid.
        """
        from aisio.patterns.braces import Braces
        from aisio.patterns.selections import Selections
        from aisio.sources.url import UrlSource

        if Selections(url.name).single is not None:
            return None
        if url.provider in WEB_SCHEMES and Braces(url.name).is_plain:
            return None
        if url.provider == FILE and Path("/", url.name).exists():
            return None
        return UrlSource(self.store(url), url)

    def create_bucket(self, url: ObjectUrl) -> None:
        """Create the bucket of a URL unless it exists; local folders are created by writing.

        Raises:
            ConfigError: The bucket is in a cloud that is accessed directly.
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
    def not_found_hints(
        self, url: ObjectUrl, all_below: str = "aisio get --recursive"
    ) -> Iterator[None]:
        """Add a hint to the error of an object that does not exist.

        Args:
            url: The object.
            all_below: What takes all objects below the URL, if it is that of a folder.

        Raises:
            NotFoundError: The original error, with a hint on what the user may have meant.
        """
        try:
            yield
        except NotFoundError as error:
            hint = SCHEME_HINT if url.provider == FILE else self._name_hint(url, all_below)
            if not hint or hint in str(error):
                raise
            raise _with_hint(error, hint) from error

    def _name_hint(self, url: ObjectUrl, all_below: str) -> str:
        with suppress(AisioError):
            folder = url.with_name(f"{url.name}/")
            if next(iter(self.store(url).list(folder)), None) is not None:
                return f"there are objects below {folder}: `{all_below}` takes them all"
        return ""

    def has_object(self, url: ObjectUrl) -> bool:
        """Tell whether there is an object of this name; no, where its store does not say."""
        with suppress(AisioError):
            self.store(url).head(url)
            return True
        return False

    def no_objects_error(self, url: ObjectUrl) -> NotFoundError:
        """Return the error for a missing bucket, or for a prefix that no name begins with."""
        if not url.name and url.provider != FILE:
            hint = f"; {BUCKETS_HINT}" if url.provider == "ais" else ""
            return NotFoundError(f"{url}: there is no such bucket{hint}", url=str(url))
        return no_name_begins_so(str(url), SCHEME_HINT if url.provider == FILE else "")


def add_endpoint_option(command: click.Command) -> None:
    """Add --endpoint to a command: it takes the place of one that stands before the command."""

    def set_cluster(context: click.Context, _: click.Parameter, endpoint: str | None) -> None:
        if endpoint is not None:
            context.obj = cluster_at(endpoint)

    option = click.Option(
        ["-e", "--endpoint", "--endpoint-url"],
        metavar="URL",
        expose_value=False,
        callback=set_cluster,
        help="The cluster's proxy or a gateway; else AIS_ENDPOINT.",
    )
    command.params.append(option)


def cluster_at(endpoint: str | None) -> Cluster:
    """Return the cluster that --endpoint names; without one, that of the environment.

    Raises:
        UsageError: It is no base URL, or has a user name or password.
    """
    if endpoint is not None and "@" in endpoint:
        # The endpoint is not repeated: it may contain a password.
        raise click.UsageError("--endpoint holds a user name or password: use AIS_AUTHN_TOKEN")
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise click.UsageError(f"--endpoint {endpoint!r}: expected one as in http://127.0.0.1:8080")
    return Cluster(endpoint)


@contextmanager
def missing_bucket_hint(store: Store) -> Iterator[None]:
    """Add to the error of a write to a missing bucket how the bucket is created.

    Raises:
        NotFoundError: The original error, with that hint.
    """
    from aisio.stores import AisStore

    try:
        yield
    except NotFoundError as error:
        if not isinstance(store, AisStore) or not str(error.url or "ais://").startswith("ais://"):
            raise
        raise _with_hint(error, "--create-bucket creates the bucket") from error


def _with_hint(error: NotFoundError, hint: str) -> NotFoundError:
    return NotFoundError(f"{error}; {hint}", url=error.url, status=error.status)


def is_local_folder(url: ObjectUrl) -> bool:
    """Return whether a URL names an existing folder of this machine."""
    is_whole = not url.name or url.name.endswith("/")
    return url.provider == FILE and is_whole and Path("/", url.name).is_dir()
