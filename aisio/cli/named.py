"""Arguments that are a URL, a local path, or the name of a source in a catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from aisio.cli.cluster import Cluster, UrlType

if TYPE_CHECKING:
    from aisio.sources.named import CatalogSource

_SCHEME = "catalog://"


@dataclass(frozen=True)
class CatalogName:
    """The name of a source, as catalog://team/imagenet-train gives it.

    Attributes:
        text: What the command line says.
    """

    text: str

    def source(self, cluster: Cluster) -> CatalogSource:
        """Return the source of that name.

        Raises:
            CatalogError: The catalog has no such name, or its files are wrong.
        """
        from aisio.sources.named import find_source

        return find_source(self.text, client=cluster.client() if cluster.endpoint else None)


class SourceType(UrlType):
    """An argument that is a name with catalog://, a URL, or a path of a local file or folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the CatalogName, or the ObjectUrl as `UrlType` has it."""
        if isinstance(value, CatalogName):
            return value
        if isinstance(value, str) and value.startswith(_SCHEME):
            return CatalogName(value)
        return super().convert(value, param, ctx)


SOURCE = SourceType()
