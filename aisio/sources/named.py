"""Sources by their names in a catalog: "team/imagenet-train" -> a Source that knows its digest.

A plain text is a name where it has no scheme and exactly one "/", as in team/imagenet-train; a URL
is never taken for one. "catalog://team/imagenet-train" says the same where a plain text would be
something else, as on the command line.

Where a source's entry has an endpoint, that is the address of

    a cluster                     for ais://, oci:// and AIStore's own names of the clouds: aws://,
                                  gcp://, azure://
    an S3, Google or Azure store  for s3://, gs://, az://

It beats what the environment says, whose token is not sent there, nor are the credentials that this
machine has for Google and Azure; a client, or settings with an endpoint, that the program gives
beat it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from aisio.catalog.entries import NamedSource
from aisio.client.client import Client
from aisio.errors import CatalogError, ConfigError, DigestError, UrlError
from aisio.records import ObjectInfo, may_be_same_object
from aisio.sources.base import Source, StoreFinder, find_store, url_of
from aisio.sources.digest import ListingDigest
from aisio.sources.kinds import TemplateSource, UrlListSource
from aisio.sources.manifest import ManifestSource
from aisio.sources.tar import TarSource
from aisio.sources.url import url_source
from aisio.stores import AisStore, DirectSettings, Store
from aisio.stores.endpoint import store_at
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_http_url

if TYPE_CHECKING:
    from aisio.catalog.folder import Catalog

__all__ = [
    "PATH_HINT",
    "SCHEME",
    "CatalogLike",
    "CatalogSource",
    "find_source",
    "names_source",
]

CatalogLike: TypeAlias = "Catalog | str | os.PathLike[str]"
"""A catalog, or a folder of catalog files."""

SCHEME = "catalog://"
"""What a name may begin with, and must on the command line."""

PATH_HINT = "a local folder is given as a pathlib.Path"
"""What to say of a text that is no URL, where Python takes a source."""

# Not "aws:bucket/x", whose "//" is missing, nor paths as "./x", "../x" and "~/x".
_NAME = re.compile(r"[^/:.~][^/:]*/[^/]+")


def names_source(text: str) -> bool:
    """Tell whether a text can only be a name in a catalog, and no URL."""
    return text.startswith(SCHEME) or ("://" not in text and _NAME.fullmatch(text) is not None)


def find_source(
    name: str,
    catalog: CatalogLike | None = None,
    *,
    client: Client | None = None,
    direct: bool | DirectSettings = False,
) -> CatalogSource:
    """Return the source that a catalog has under a name.

    Args:
        name: "team/imagenet-train", with or without catalog:// before it.
        catalog: Where to look; without it the default catalog.
        client: The cluster; without it the one that the entry names, else the environment.
        direct: For URLs of clouds, go round the cluster; see `store_for`.

    Raises:
        CatalogError: The catalog's files are wrong, or a name with catalog:// is not in it.
        UrlError: A name without catalog:// is not in it: a URL could have been meant.
        ConfigError: It is the name of a resource.
    """
    tag = name.removeprefix(SCHEME)
    found = _catalog(catalog)
    try:
        entry = found.find(tag)
    except CatalogError as error:
        if name.startswith(SCHEME):
            raise
        raise UrlError(
            f"{error}; as a URL: {_why_no_url(name)}; {PATH_HINT}",
            url=name,
        ) from None
    if not isinstance(entry, NamedSource):
        raise ConfigError(
            f"{tag!r} is a resource, a file that is downloaded, and no source: "
            f"aisio.load({tag!r}) returns its path"
        )
    return CatalogSource.of(entry, client=client, direct=direct)


class CatalogSource(Source):
    """A source as a catalog describes it; made by `aisio.source` of its name.

    Args:
        entry: What the catalog says.
        unpinned: The objects themselves.
        elsewhere: They are in a cluster that only the entry names.
    """

    def __init__(self, entry: NamedSource, unpinned: Source, *, elsewhere: bool = False) -> None:
        self.entry = entry
        self.etl_name = entry.etl_name
        self.needs_single_reads = bool(entry.etl_name or entry.digest)
        self._elsewhere = elsewhere
        self._source = unpinned

    @classmethod
    def of(
        cls,
        entry: NamedSource,
        *,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
    ) -> CatalogSource:
        """Return the source that an entry describes; nothing is read yet.

        Args:
            entry: What the catalog says.
            client: The cluster; without it the one that the entry names, else the environment.
            direct: For URLs of clouds, go round the cluster; see `store_for`.

        Raises:
            UrlError: A URL or template of the entry cannot be meant.
            ConfigError: A cluster is needed and not known.
        """
        if entry.endpoint is None:
            find = find_store(client, direct)
        else:
            find = partial(store_at, endpoint=entry.endpoint, client=client, direct=direct)
        objects = _KINDS[entry.kind](getattr(entry, entry.kind), find)
        return cls(entry, objects, elsewhere=entry.endpoint is not None and client is None)

    def __repr__(self) -> str:
        return f"CatalogSource({self.entry.tag!r}, {self._source!r})"

    @property
    def base_url(self) -> str:
        """See `Source.base_url`."""
        return self._source.base_url

    @property
    def unpinned(self) -> Source:
        """See `Source.unpinned`."""
        return self._source

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`.

        Where the entry has a digest, all is listed, and compared with it at the end, also where a
        prefix asks for a part.

        Raises:
            DigestError: After the last object: the listing is not the one that the entry names.
        """
        if self.entry.digest is None:
            return self._source.list(prefix)
        return self._checked(prefix, self.entry.digest)

    def select(self, text: str = "", *, allow_empty: bool = False) -> Iterator[ObjectInfo]:
        """See `Source.select`; where the entry has a digest, as for `list`."""
        if self.entry.digest:
            return super().select(text, allow_empty=allow_empty)
        return self._source.select(text, allow_empty=allow_empty)

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`."""
        return self._source.is_named(info)

    def _checked(self, prefix: str, expected: str) -> Iterator[ObjectInfo]:
        digest = ListingDigest(self.base_url)
        for info in self._source.list():
            digest.add(info)
            if info.name.startswith(prefix):
                yield info
        if digest.text() != expected.lower():
            tag = self.entry.tag
            raise DigestError(
                f"list {tag}: not the objects that the catalog names: its digest is {expected}, "
                f"the {digest.count:,} objects listed have {digest.text()}: restore them, or, "
                f"if they were changed on purpose, run `aisio catalog pin --update {tag}`",
                url=f"{SCHEME}{tag}",
            )

    def list_urls(
        self, prefix: str = "", etl_name: str | None = None, *, allow_empty: bool = False
    ) -> Iterator[str]:
        """See `Source.list_urls`.

        Objects of a cluster that only the entry names come as http URLs, which say which that is.
        Without the name of an ETL, the entry's own is used, and none for "".
        """
        etl_name = self._etl(etl_name)
        for info in self.select(prefix, allow_empty=allow_empty):
            store = self.store_of(info)
            if etl_name is None and self._elsewhere and isinstance(store, AisStore):
                yield object_http_url(store.client.endpoint, url_of(info))
            else:
                yield self._etl_url(info, etl_name) if etl_name else info.url

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self._source.store_of(info)

    def get(self, info: ObjectInfo, *, etl_name: str | None = None) -> Body:
        """See `Source.get`; without the name of an ETL, by the entry's own, and none for "".

        Raises:
            DigestError: The entry has a digest, and this is not the object that was listed.
        """
        return super().get(info, etl_name=self._etl(etl_name))

    def send_ahead(self, info: ObjectInfo, *, etl_name: str | None = None) -> PendingGet | None:
        """See `Source.send_ahead`; ETL as for `get`."""
        return super().send_ahead(info, etl_name=self._etl(etl_name))

    def read(self, info: ObjectInfo, *, etl_name: str | None = None) -> bytes:
        """See `Source.read`; ETL and errors as for `get`."""
        return super().read(info, etl_name=self._etl(etl_name))

    def _check_answer(self, listed: ObjectInfo, answer: ObjectInfo) -> None:
        if self.entry.digest is None:
            super()._check_answer(listed, answer)
        elif not may_be_same_object(listed, answer):
            raise DigestError(
                f"GET {listed.url}: not the object that {self.entry.tag} is pinned to, as it was "
                f"listed: {_brief(listed)} were expected, the answer has {_brief(answer)}: it was "
                "replaced since; restore it, or list the source anew",
                url=listed.url,
            )

    def _etl(self, etl_name: str | None) -> str | None:
        return (self.etl_name if etl_name is None else etl_name) or None


def _brief(info: ObjectInfo) -> str:
    checksum = info.checksum
    said = f" of {checksum.kind} {checksum.value}" if checksum else ""
    return f"{info.size_bytes:,} bytes{said}" if info.size_bytes is not None else f"bytes{said}"


def _catalog(given: CatalogLike | None) -> Catalog:
    # Here: the files of a catalog need a YAML reader, which is loaded with the first name.
    from pathlib import Path

    from aisio.catalog.folder import default_catalog, read_catalog

    if given is None:
        return default_catalog()
    return read_catalog(Path(given)) if isinstance(given, (str, os.PathLike)) else given


def _why_no_url(text: str) -> str:
    try:
        ObjectUrl.parse(text)
    except UrlError as error:
        return str(error)
    raise AssertionError(text)  # a name has no scheme


def _urls(urls: tuple[str, ...], find: StoreFinder) -> Source:
    return UrlListSource(urls, find)


def _prefix(text: str, find: StoreFinder) -> Source:
    url = ObjectUrl.parse(text)
    return url_source(find(url), url)


def _template(text: str, find: StoreFinder) -> Source:
    url = ObjectUrl.parse(text)
    return TemplateSource(find(url), url)


def _manifest(text: str, find: StoreFinder) -> Source:
    return ManifestSource(ObjectUrl.parse(text), find)


def _tar(text: str, find: StoreFinder) -> Source:
    url = ObjectUrl.parse(text)
    return TarSource(find(url), url)


_KINDS: dict[str, Callable[[Any, StoreFinder], Source]] = {
    "urls": _urls,
    "prefix": _prefix,
    "template": _template,
    "manifest": _manifest,
    "tar": _tar,
}
