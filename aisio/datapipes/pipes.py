"""The three functional datapipes, on torch core's IterDataPipe.

    urls = IterableWrapper(["ais://imagenet/train/"]).ais_list_files(url="http://127.0.0.1:8080")
    for url, stream in urls.ais_load_files(url="http://127.0.0.1:8080"):
        stream.read()

They split nothing by themselves: put torch's `.sharding_filter()` between lister and loader, and a
DataLoader's workers share the objects. Importing this module registers the names.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Client
from aisio.client.shared_clients import client_at, client_like, explicit_client
from aisio.datapipes.torch_compat import (
    IterDataPipe,
    Stream,
    StreamWrapper,
    functional_names,
)
from aisio.errors import ConfigError, NotFoundError, StorageError
from aisio.records import Concurrency
from aisio.sources.nothing_found import require_some
from aisio.sources.resolve import source
from aisio.stores import AisStore, DirectSettings, Store, store_for
from aisio.stores.tar import TarStore
from aisio.transport.body import Body
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet
from aisio.urls import ObjectUrl
from aisio.wire.messages import is_object_http_url, parse_object_http_url

__all__ = ["AISFileLister", "AISFileLoader", "AISSourceLister"]

T = TypeVar("T")

_IN_TAR = ".tar/"
_BUFFER_BYTES = 64 * 1024
_UNKNOWN_COUNTS_AS_BYTES = 1 << 30


class _Place(NamedTuple):
    """Where an object is, and what is to transform it.

    Attributes:
        store: Where it is read.
        url: The object.
        etl_name: ETL that transforms it; None for none.
        archive: A tar that it may be a file of, and nobody has looked yet; None for none.
    """

    store: Store
    url: ObjectUrl
    etl_name: str | None
    archive: ObjectUrl | None = None


class _ByEpochs:
    """A datapipe that goes through what it is given, once an epoch."""

    _begun: Iterator[Any] | None = None

    def _epoch(self, given: Iterable[T], *, may_be_empty: bool) -> Iterator[T]:
        """Yield all that is given.

        Raises:
            ConfigError: There is nothing, and not because a datapipe left it to other workers; or
                it is an iterator that an earlier epoch has read to its end.
        """
        is_again = self._begun is given
        if isinstance(given, Iterator) and not isinstance(given, IterDataPipe):
            self._begun = given
        has_some = False
        for item in given:
            has_some = True
            yield item
        owner = type(self).__name__
        if is_again and not has_some:
            raise ConfigError(
                f"<{owner}> its source is an iterator that has ended, in an earlier epoch: "
                "pass a list or a datapipe, which can be read again"
            )
        if not (has_some or may_be_empty or isinstance(given, IterDataPipe)):
            raise ConfigError(f"<{owner}> no source is given (allow_empty=True reads nothing)")


@functional_names("ais_list_files", "list_files_by_ais")
class AISFileLister(_ByEpochs, IterDataPipe[str]):
    """List the URLs of objects by prefix; `ais_list_files`, `list_files_by_ais`.

    Args:
        source_datapipe: Prefixes as URLs ("ais://bucket", "s3://bucket/train/", "file:///data/"),
            or names in a catalog ("team/imagenet-train"); any iterable of str. URLs are
            plain-string prefixes: "ais://bucket/tr" lists train/... and trial.txt; the URL of an
            object is that object, and braces and wildcards are understood
            (`aisio.patterns.selections`).
        url: Endpoint of the cluster; without it AIS_ENDPOINT.
        length: What `len()` shall say; without it there is no length.
        client: The cluster, instead of `url`.
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.
        allow_empty: Take a prefix or source without objects for empty; without it that is an error.

    Yields:
        URLs of objects, prefix by prefix, in bytewise order of the names; those of a name in a
        catalog in its own order, and as http URLs where its entry has a cluster or an ETL.

    Raises:
        UrlError: A prefix cannot be meant, or a name is in no catalog; at iteration.
        ConfigError: No prefix is given, or an iterator that has ended; at iteration.
        NotFoundError: A bucket does not exist, or there is no object of a prefix; at iteration.
    """

    def __init__(
        self,
        source_datapipe: Iterable[str],
        url: str | None = None,
        length: int = -1,
        *,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
        allow_empty: bool = False,
    ) -> None:
        super().__init__()
        self.source_datapipe = source_datapipe
        self.length = length
        self._direct = direct
        self._allow_empty = allow_empty
        self._client = explicit_client(client, url)

    def __iter__(self) -> Iterator[str]:
        for prefix in self._epoch(self.source_datapipe, may_be_empty=self._allow_empty):
            one = source(prefix, client=self._client, direct=self._direct)
            urls = one.list_urls(allow_empty=self._allow_empty)
            yield from urls if self._allow_empty else require_some(urls, prefix)

    def __len__(self) -> int:
        if self.length < 0:
            raise TypeError(
                f"{type(self).__name__} instance doesn't have valid length: "
                "pass length= if you know it"
            )
        return self.length


@functional_names("ais_load_files", "load_files_by_ais")
class AISFileLoader(_ByEpochs, IterDataPipe[tuple[str, StreamWrapper]]):
    """Open the objects behind URLs; `ais_load_files`, `load_files_by_ais`.

    Args:
        source_datapipe: URLs of objects, as the listers yield them; any iterable of str.
        url: Endpoint of the cluster; without it AIS_ENDPOINT.
        length: What `len()` shall say; without it the length of the source.
        etl_name: Have the cluster transform each object by this ETL.
        client: The cluster, instead of `url`.
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.
        concurrency: How many small objects of a cluster are asked for before they are read, or the
            bounds within which to find out; without it 8 at first. As many URLs are pulled ahead;
            1 pulls and asks one by one.

    Yields:
        (URL, stream): a binary stream that verifies what it reads and is closed when dropped. The
        URL of a file in a tar, ais://bucket/a.tar/1.jpg, gives that file.

    Raises:
        UrlError: Not the URL of an object; at iteration.
        ConfigError: The URLs come from an iterator that an earlier epoch has ended; at iteration.
        NotFoundError: An object does not exist; at iteration.
    """

    def __init__(
        self,
        source_datapipe: Iterable[str],
        url: str | None = None,
        length: int = -1,
        etl_name: str | None = None,
        *,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
        concurrency: int | Concurrency | None = None,
    ) -> None:
        super().__init__()
        self.source_datapipe = source_datapipe
        self.length = length
        self.etl_name = etl_name
        self._concurrency = Concurrency.of(concurrency)
        self._direct = direct
        self._client = explicit_client(client, url)
        self._tars: dict[ObjectUrl, TarStore] = {}

    def __iter__(self) -> Iterator[tuple[str, StreamWrapper]]:
        bodies = fetch_in_order(
            self._epoch(self.source_datapipe, may_be_empty=True),
            lambda url: (url, self._open(url)),
            send_ahead=self._ask,
            pace=AdaptiveLimit(self._concurrency),
            result_bytes=_body_bytes,
            by_threads=False,
        )
        for url, body in bodies:
            # Without a buffer, a line would be read byte by byte.
            yield url, Stream(io.BufferedReader(body, _BUFFER_BYTES))

    def _ask(self, text: str) -> PendingGet | None:
        place = self._place(text)
        if place.archive is not None:
            return None
        return place.store.send_ahead(place.url, etl_name=place.etl_name)

    def _open(self, text: str) -> Body:
        place = self._place(text)
        if place.archive is not None:
            return self._open_in_tar(place, place.archive)
        return place.store.get(place.url, etl_name=place.etl_name)

    def _place(self, text: str) -> _Place:
        if is_object_http_url(text):
            endpoint, url, etl_name = parse_object_http_url(text)
            return _Place(AisStore(self._client_of(endpoint)), url, self.etl_name or etl_name)
        url = ObjectUrl.parse(text).require_object()
        archive = _archive_of(url)
        if archive in self._tars:
            return _Place(self._tars[archive], url, self.etl_name)
        store = store_for(url, self._client, direct=self._direct)
        return _Place(store, url, self.etl_name, archive)

    def _client_of(self, endpoint: str) -> Client:
        if self._client is None:
            return client_at(endpoint)
        if self._client.endpoint != endpoint:
            return client_like(self._client, endpoint)
        return self._client

    def _open_in_tar(self, place: _Place, archive: ObjectUrl) -> Body:
        """Open a file in a tar, or an object in a folder whose name only looks like one."""
        try:
            return place.store.get(place.url, etl_name=place.etl_name)
        except StorageError as error:
            # A file system says of a path through a file that this is no folder.
            if type(error) not in (NotFoundError, StorageError):
                raise
            missing = error
        tar = TarStore(place.store, archive)
        try:
            tar.check()
        except NotFoundError:
            raise missing from None
        self._tars[archive] = tar
        return tar.get(place.url, etl_name=place.etl_name)

    def __len__(self) -> int:
        return self.length if self.length >= 0 else len(self.source_datapipe)  # type: ignore[arg-type]


def _archive_of(url: ObjectUrl) -> ObjectUrl | None:
    """Return the tar that an URL may mean a file of."""
    at = url.name.find(_IN_TAR)
    return url.with_name(url.name[: at + len(_IN_TAR) - 1]) if at >= 0 else None


def _body_bytes(opened: tuple[str, Body]) -> int:
    size = opened[1].size_bytes
    return _UNKNOWN_COUNTS_AS_BYTES if size is None else size


@functional_names("ais_list_sources", "list_sources_by_ais")
class AISSourceLister(_ByEpochs, IterDataPipe[str]):
    """List the URLs of all objects of some sources; `ais_list_sources`, `list_sources_by_ais`.

    Args:
        ais_sources: Buckets, object groups (aisio's or the official package's), prefixes, names in
            a catalog, or anything with the official `list_urls(prefix=, etl=)`.
        prefix: Name of an object, prefix or pattern to list from each; see
            `aisio.patterns.selections`.
        etl: Have the cluster transform each object by this ETL when it is loaded: its name, or an
            ETLConfig of the official package.
        etl_name: Its name, as older releases of the official package call the argument.
        url: Endpoint of the cluster for sources given as URLs; without it AIS_ENDPOINT.
        client: The cluster, instead of `url`.
        direct: Read clouds (s3://, gs://, az://) round the cluster; settings say how.
        allow_empty: Take a prefix or source without objects for empty; without it that is an error.

    Yields:
        URLs of objects, source by source; http URLs where an ETL is named.

    Raises:
        NotFoundError: A bucket does not exist, or a source has no object; at iteration.
        ConfigError: No source is given, or an iterator that has ended; at iteration.
    """

    def __init__(
        self,
        ais_sources: Iterable[Any],
        prefix: str = "",
        etl: Any = None,
        *,
        etl_name: str | None = None,
        url: str | None = None,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
        allow_empty: bool = False,
    ) -> None:
        super().__init__()
        self._allow_empty = allow_empty
        self.sources = ais_sources
        self.prefix = prefix
        self.etl_name = etl_name or (etl if isinstance(etl, str) else getattr(etl, "name", None))
        self._etl = None if isinstance(etl, str) else etl
        self._direct = direct
        self._client = explicit_client(client, url)

    def __iter__(self) -> Iterator[str]:
        for item in self._epoch(self.sources, may_be_empty=self._allow_empty):
            urls, about = self._urls(item), item if isinstance(item, str) else repr(item)
            yield from urls if self._allow_empty else require_some(urls, about, prefix=self.prefix)

    def _urls(self, item: Any) -> Iterator[str]:
        ours = adapt_sdk_object(item)
        if ours is item and _has_official_listing(item):
            return iter(item.list_urls(prefix=self.prefix, etl=self._official_etl()))
        one = source(ours, client=self._client, direct=self._direct)
        return one.list_urls(self.prefix, self.etl_name, allow_empty=self._allow_empty)

    def _official_etl(self) -> Any:
        if self._etl is not None or self.etl_name is None:
            return self._etl
        try:
            from aistore.sdk.etl import ETLConfig
        except ImportError:
            raise ConfigError(
                f"ETL {self.etl_name!r} for a source that is not aisio's: "
                "pass etl=, an ETLConfig of the aistore package"
            ) from None
        return ETLConfig(name=self.etl_name)


def _has_official_listing(item: Any) -> bool:
    return hasattr(item, "list_urls") and not type(item).__module__.startswith("aisio.")
