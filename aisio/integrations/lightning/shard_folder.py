"""ShardFolder: where the tar shards of a split are, on this machine, in a store, or in a catalog.

A text is a URL if it has "://", else a folder of this machine. A text such as "team/train", for
which there is no folder here, is a name in the catalog if the catalog has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from aisio.catalog import default_catalog
from aisio.errors import ConfigError, NotFoundError
from aisio.integrations.webdataset.shard_urls import shard_url
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.catalog_source import SCHEME
from aisio.sources.kinds import PrefixSource
from aisio.sources.named import find_source, is_catalog_name
from aisio.stores import LocalStore, store_for
from aisio.urls import ObjectUrl

__all__ = ["INCOMPLETE", "ShardFolder"]

INCOMPLETE = ".incomplete"
"""Ends the name of the object that is beside shards while they are being replaced."""


class ShardFolder:
    """A folder of shards `{prefix}-*.tar`.

    Args:
        where: A URL, a path, or a name in the catalog.

    Attributes:
        source: The objects of the folder, or those that the catalog names.

    Raises:
        UrlError: A URL is not valid.
        CatalogError: The catalog's files hold errors, or have no such name.
        ConfigError: The text is empty, or the cluster of a URL is not known.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self._text = os.fspath(where)
        if not self._text:
            raise ConfigError("the folder of the shards is '': expected a URL or a path")
        self._is_path = isinstance(where, os.PathLike) or _is_path(self._text)
        self.source = _folder_of_path(self._text) if self._is_path else _source(self._text)
        objects = self.source.unpinned
        self._folder = objects if isinstance(objects, PrefixSource) else None

    def __repr__(self) -> str:
        return f"ShardFolder({self._text!r})"

    def pattern(self, prefix: str) -> str:
        """Return the pattern of the shards' names, for messages."""
        return f"{self._text.rstrip('/')}/{prefix}-*.tar"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self._folder is not None and isinstance(self._folder.store, LocalStore)

    @property
    def files(self) -> PrefixSource:
        """The store and the URL of the folder, for files that are read or written by their names.

        Raises:
            ConfigError: It is an entry of the catalog that is no folder, or has a digest or an ETL.
        """
        if self._folder is None or self.source.needs_single_reads:
            raise ConfigError(
                f"{self._text}: expected a folder to read or write files by their names: a URL, a "
                'path, or an entry of the catalog whose prefix ends in "/", without digest and ETL'
            )
        return self._folder

    def shards(self, prefix: str) -> Mapping[str, ObjectInfo]:
        """Return the shards `{prefix}-*.tar`, sorted by their URLs.

        Where the folder is given as a path, these are paths, and where it is a name in the catalog,
        URLs of the catalog.

        Raises:
            NotFoundError: There is none; the text has the pattern.
            ConfigError: They are being replaced, or their replacement was interrupted.
        """
        try:
            infos = list(self._list(prefix))
        except NotFoundError as error:
            text = f"{self.pattern(prefix)}: there is no such shard: {error}"
            raise NotFoundError(text, url=self._text) from error
        names = {info.name.rpartition("/")[2] for info in infos}
        if prefix + INCOMPLETE in names:
            raise ConfigError(
                f"{self.pattern(prefix)}: these shards are not complete: a program is replacing "
                f"them, or was killed while it did, as {prefix}{INCOMPLETE} beside them says; wait "
                "for it, or write the shards again"
            )
        found = {self._url_of(info): info for info in infos if _is_shard(info, prefix)}
        if not found:
            raise NotFoundError(f"{self.pattern(prefix)}: there is no such shard", url=self._text)
        return dict(sorted(found.items()))

    def _url_of(self, info: ObjectInfo) -> str:
        return f"/{info.name}" if self._is_path else shard_url(self.source, info)

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        if self._folder is None:
            return self.source.list()
        start = self._folder.url.name
        infos = self.source.list(start + prefix)
        return (info for info in infos if "/" not in info.name[len(start) :])


def _is_shard(info: ObjectInfo, prefix: str) -> bool:
    name = info.name.rpartition("/")[2]
    return name.startswith(f"{prefix}-") and name.endswith(".tar")


def _is_path(text: str) -> bool:
    if "://" in text:
        return False
    return Path(text).is_dir() or not is_catalog_name(text) or text not in default_catalog().sources


def _folder_of_path(text: str) -> Source:
    path = str(Path(text).resolve()).rstrip("/")
    return PrefixSource(LocalStore(), ObjectUrl.parse(f"file://{path}/"))


def _source(text: str) -> Source:
    if "://" not in text or text.startswith(SCHEME):
        return find_source(text)
    url = ObjectUrl.parse(text)
    folder = url.with_name(f"{url.name.rstrip('/')}/") if url.name else url
    return PrefixSource(store_for(folder), folder)
