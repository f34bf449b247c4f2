"""Where URLs on the command line lead: to the cluster that it names, or to local files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisio.errors import UrlError
from aisio.urls import ALIASES, FILE, MEMORY, ObjectUrl

if TYPE_CHECKING:
    _ParamType = click.ParamType[ObjectUrl]
    from aisio.client import Client
    from aisio.stores import Store
else:
    _ParamType = click.ParamType


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
        from aisio.client import Client

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
        from aisio.client import Bucket
        from aisio.errors import ConfigError
        from aisio.stores import AisStore

        store = self.store(url)
        if isinstance(store, AisStore):
            Bucket(store.client, url.with_name("")).create(exist_ok=True)
        elif url.provider not in (FILE, MEMORY):
            raise ConfigError(f"{url.root} cannot be created from here: use the cloud's own tools")


class UrlType(_ParamType):
    """An argument that is a URL, or a path of a local file or folder."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the ObjectUrl; that of a folder ends in "/", or data would also mean data2."""
        if isinstance(value, ObjectUrl):
            return value
        try:
            return _local_url(value) if _is_path(value) else ObjectUrl.parse(value)
        except UrlError as error:
            self.fail(str(error), param, ctx)


URL = UrlType()


def _is_path(text: str) -> bool:
    scheme, _, _ = text.partition(":")
    return "://" not in text and scheme not in ALIASES


def _local_url(text: str) -> ObjectUrl:
    path = os.path.abspath(text)  # noqa: PTH100 - Path.absolute() keeps "..", which no URL may have
    is_folder = text.endswith("/") or Path(path).is_dir()
    name = path.strip("/")
    return ObjectUrl(FILE, "", f"{name}/" if name and is_folder else name, scheme=FILE)
