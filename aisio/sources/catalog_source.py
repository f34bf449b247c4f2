"""CatalogSource: the objects that an entry of a catalog describes, with its ETL and its digest.

The endpoint of an entry is the address of

    a cluster                     for ais://, oci:// and AIStore's own names of the clouds: aws://,
                                  gcp://, azure://
    an S3, Google or Azure store  for s3://, gs://, az://

It takes precedence over the environment: neither the token in the environment nor this machine's
credentials for Google and Azure are sent to it. A client, or settings with an endpoint, that the
program passes take precedence over the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial

from aisio.catalog.entries import NamedSource
from aisio.client.client import Client
from aisio.errors import DigestError
from aisio.records import ByteRange, ObjectInfo, may_be_same_object
from aisio.sources.base import Source, url_of
from aisio.sources.digest import ListingDigest
from aisio.sources.kinds import TemplateSource, UrlListSource
from aisio.sources.manifest import ManifestSource
from aisio.sources.mixed import StoreFinder
from aisio.sources.tar import TarSource
from aisio.sources.url import url_source
from aisio.stores import AisStore, DirectSettings, Store, store_for
from aisio.stores.endpoint import store_at
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_http_url

__all__ = ["SCHEME", "CatalogSource"]

SCHEME = "catalog://"
"""What the URL of an entry begins with; a name may have it, and must on the command line."""


class CatalogSource(Source):
    """A source as a catalog describes it; made by `aisio.source` of its name.

    Args:
        entry: The catalog's entry.
        unpinned: The objects, without ETL and digest.
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
            entry: The catalog's entry.
            client: The cluster; without it the one that the entry names, else the environment.
            direct: Read clouds directly, not through the cluster; see `store_for`.

        Raises:
            UrlError: A URL or template of the entry is not valid.
            ConfigError: A cluster is needed and not known.
        """
        if entry.endpoint is None:
            find_store: StoreFinder = partial(store_for, client=client, direct=direct)
        else:
            find_store = partial(store_at, endpoint=entry.endpoint, client=client, direct=direct)
        elsewhere = entry.endpoint is not None and client is None
        return cls(entry, _objects(entry, find_store), elsewhere=elsewhere)

    def _key(self) -> Hashable:
        return self.entry, self._source, self._elsewhere

    def __repr__(self) -> str:
        return f"CatalogSource({self.entry.tag!r}, {self._source!r})"

    def _summary(self) -> Mapping[str, object]:
        fields = ("tag", "description", "owner", "endpoint", "etl_name", "digest")
        known = {name: getattr(self.entry, name) for name in fields}
        return {name: value for name, value in known.items() if value} | {"source": self._source}

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

        If the entry has a digest, the whole source is listed, also for a prefix, and compared with
        the digest at the end.

        Raises:
            DigestError: After the last object: the listing does not have the entry's digest.
        """
        if self.entry.digest is None:
            return self._source.list(prefix)
        return self._list_checked(prefix, self.entry.digest)

    def select(self, text: str = "", *, allow_empty: bool = False) -> Iterator[ObjectInfo]:
        """See `Source.select`; if the entry has a digest, as for `list`."""
        if self.entry.digest:
            return super().select(text, allow_empty=allow_empty)
        return self._source.select(text, allow_empty=allow_empty)

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`."""
        return self._source.is_named(info)

    def _list_checked(self, prefix: str, expected: str) -> Iterator[ObjectInfo]:
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

    def listed_url(self, info: ObjectInfo, etl_name: str | None = None) -> str:
        """See `Source.listed_url`.

        Objects of a cluster that only the entry names have http URLs, which name the cluster.
        Without `etl_name` the entry's ETL is used; "" uses none.
        """
        etl_name = self.effective_etl(etl_name)
        store = self.store_of(info)
        if etl_name is None and self._elsewhere and isinstance(store, AisStore):
            return object_http_url(store.client.endpoint, url_of(info))
        return super().listed_url(info, etl_name)

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self._source.store_of(info)

    def get(
        self,
        info: ObjectInfo,
        *,
        byte_range: ByteRange | None = None,
        etl_name: str | None = None,
    ) -> Body:
        """See `Source.get`; without `etl_name` the entry's ETL is used, "" uses none.

        Raises:
            DigestError: The entry has a digest, and this is not the object that was listed.
        """
        return super().get(info, byte_range=byte_range, etl_name=self.effective_etl(etl_name))

    def send_ahead(self, info: ObjectInfo, *, etl_name: str | None = None) -> PendingGet | None:
        """See `Source.send_ahead`; ETL as for `get`."""
        return super().send_ahead(info, etl_name=self.effective_etl(etl_name))

    def read(self, info: ObjectInfo, *, etl_name: str | None = None) -> bytes:
        """See `Source.read`; ETL and errors as for `get`."""
        return super().read(info, etl_name=self.effective_etl(etl_name))

    def _check_response(self, listed: ObjectInfo, received: ObjectInfo) -> None:
        if self.entry.digest is None:
            super()._check_response(listed, received)
        elif not may_be_same_object(listed, received):
            raise DigestError(
                f"GET {listed.url}: not the object that {self.entry.tag} is pinned to, as it was "
                f"listed: {_describe(listed)} were expected, the answer has {_describe(received)}: "
                "it was replaced since; restore it, or list the source anew",
                url=listed.url,
            )


_SOURCES_OF_ONE_STORE: dict[str, Callable[[Store, ObjectUrl], Source]] = {
    "prefix": url_source,
    "template": TemplateSource,
    "tar": TarSource,
}


def _objects(entry: NamedSource, find_store: StoreFinder) -> Source:
    """Return the source of the field that says where an entry's objects are."""
    if entry.urls is not None:
        return UrlListSource(entry.urls, find_store)
    url = ObjectUrl.parse(getattr(entry, entry.kind))
    if entry.manifest is not None:
        return ManifestSource(url, find_store)
    return _SOURCES_OF_ONE_STORE[entry.kind](find_store(url), url)


def _describe(info: ObjectInfo) -> str:
    checksum = f" of {info.checksum.kind} {info.checksum.value}" if info.checksum else ""
    size = "bytes" if info.size_bytes is None else f"{info.size_bytes:,} bytes"
    return size + checksum
