"""The three functional datapipes, on torch core's IterDataPipe.

    urls = IterableWrapper(["ais://imagenet/train/"]).ais_list_files(url="http://127.0.0.1:8080")
    for url, stream in urls.ais_load_files(url="http://127.0.0.1:8080"):
        stream.read()

They split nothing themselves: put torch's `.sharding_filter()` between lister and loader, and the
workers of a DataLoader share the objects. Importing this module registers the names.

Names and arguments are those of torch's and the official package's datapipes; what aisio adds is
keyword-only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.datapipes.resolve import ResolvedUrl, resolve_url
from aisio.datapipes.torch_compat import (
    IterDataPipe,
    Stream,
    StreamWrapper,
    functional_names,
)
from aisio.errors import ConfigError, NotFoundError, StorageError
from aisio.patterns.name_patterns import NamePatterns, Patterns
from aisio.records import Concurrency
from aisio.sources.filtered import filtered
from aisio.sources.nothing_found import require_some
from aisio.sources.resolve import source
from aisio.stores import DirectSettings
from aisio.stores.tar import TarStore
from aisio.transport.body import Body
from aisio.transport.concurrency.limit import AdaptiveLimit
from aisio.transport.concurrency.ordered import fetch_in_order
from aisio.transport.concurrency.pending import PendingGet
from aisio.urls import ObjectUrl

__all__ = ["AISFileLister", "AISFileLoader", "AISSourceLister"]

T = TypeVar("T")

_BUFFER_BYTES = 64 * 1024
_UNKNOWN_COUNTS_AS_BYTES = 1 << 30


class _EpochPipe:
    """A datapipe that reads its input from start to end in each epoch."""

    _last_iterator: Iterator[Any] | None = None

    def _epoch(self, inputs: Iterable[T], *, may_be_empty: bool) -> Iterator[T]:
        """Yield all inputs.

        Raises:
            ConfigError: There are none, and not because a datapipe left them to other workers; or
                they are an iterator that an earlier epoch has read to its end.
        """
        is_again = self._last_iterator is inputs
        if isinstance(inputs, Iterator) and not isinstance(inputs, IterDataPipe):
            self._last_iterator = inputs
        is_empty = True
        for item in inputs:
            is_empty = False
            yield item
        owner = type(self).__name__
        if is_again and is_empty:
            raise ConfigError(
                f"<{owner}> its source is an iterator that has ended, in an earlier epoch: "
                "pass a list or a datapipe, which can be read again"
            )
        if is_empty and not (may_be_empty or isinstance(inputs, IterDataPipe)):
            raise ConfigError(f"<{owner}> no source is given (allow_empty=True reads nothing)")


@functional_names("ais_list_files", "list_files_by_ais")
class AISFileLister(_EpochPipe, IterDataPipe[str]):
    """List the URLs of objects by prefix; `ais_list_files`, `list_files_by_ais`.

    Args:
        source_datapipe: Prefixes as URLs ("ais://bucket", "s3://bucket/train/", "file:///data/"),
            or names in a catalog ("team/imagenet-train"); any iterable of str. URLs are
            plain-string prefixes: "ais://bucket/tr" lists train/... and trial.txt. The URL of an
            object is that object. Braces and wildcards work too (`aisio.patterns.selections`).
        url: Endpoint of the cluster; by default AIS_ENDPOINT.
        length: What `len()` returns; by default there is no length.
        client: The cluster, instead of `url`.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        allow_empty: Accept a prefix or source without objects; by default that is an error.
        include: Patterns for names, as in "*.jpg": only objects that match one are listed; see
            `aisio.patterns.name_patterns`.
        exclude: Patterns for names: objects that match one are left out.

    Yields:
        URLs of objects, prefix by prefix, in bytewise order of the names. Those of a name in a
        catalog come in its own order, and as http URLs if its entry has a cluster or an ETL.

    Raises:
        UrlError: At iteration: a prefix is not a valid URL, or a name is in no catalog.
        ConfigError: At iteration: there is no prefix, or the prefixes are an iterator that has
            ended.
        NotFoundError: At iteration: a bucket does not exist, or a prefix has no object.
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
        include: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__()
        self.source_datapipe = source_datapipe
        self.length = length
        self._direct = direct
        self._allow_empty = allow_empty
        self._patterns = NamePatterns(include, exclude, owner=type(self).__name__)
        self._client = explicit_client(client, url)

    def __iter__(self) -> Iterator[str]:
        for prefix in self._epoch(self.source_datapipe, may_be_empty=self._allow_empty):
            found = source(prefix, client=self._client, direct=self._direct)
            found = filtered(found, self._patterns)
            urls = found.list_urls(allow_empty=self._allow_empty)
            if not self._allow_empty:
                urls = require_some(urls, prefix, why=self._patterns.why_empty)
            yield from urls

    def __len__(self) -> int:
        if self.length < 0:
            raise TypeError(
                f"{type(self).__name__} instance doesn't have valid length: "
                "pass length= if you know it"
            )
        return self.length


@functional_names("ais_load_files", "load_files_by_ais")
class AISFileLoader(_EpochPipe, IterDataPipe[tuple[str, StreamWrapper]]):
    """Open the objects behind URLs; `ais_load_files`, `load_files_by_ais`.

    Args:
        source_datapipe: URLs of objects, as the listers yield them; any iterable of str.
        url: Endpoint of the cluster; by default AIS_ENDPOINT.
        length: What `len()` returns; by default the length of the source.
        etl_name: Have the cluster transform each object by this ETL.
        client: The cluster, instead of `url`.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        concurrency: For how many small objects of a cluster requests are sent before they are read,
            or bounds for it; by default 8 at first. As many URLs are taken from the source ahead of
            time; 1 takes one URL at a time.

    Yields:
        (URL, stream): a binary stream that verifies what it reads, and closes when it is dropped.
        The URL of a file in a tar, ais://bucket/a.tar/1.jpg, opens that file.

    Raises:
        UrlError: At iteration: not the URL of an object.
        ConfigError: At iteration: the URLs come from an iterator that an earlier epoch has read to
            its end.
        NotFoundError: At iteration: an object does not exist.
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
        urls = self._epoch(self.source_datapipe, may_be_empty=True)
        bodies = fetch_in_order(
            map(self._resolve, urls),
            self._open,
            send_ahead=self._send_ahead,
            limit=AdaptiveLimit(self._concurrency),
            result_bytes=_body_bytes,
            in_threads=False,
        )
        for url, body in bodies:
            # Without a buffer, a line would be read byte by byte.
            yield url, Stream(io.BufferedReader(body, _BUFFER_BYTES))

    def __len__(self) -> int:
        return self.length if self.length >= 0 else len(self.source_datapipe)  # type: ignore[arg-type]

    def _resolve(self, text: str) -> ResolvedUrl:
        return resolve_url(text, client=self._client, direct=self._direct, etl_name=self.etl_name)

    def _send_ahead(self, item: ResolvedUrl) -> PendingGet | None:
        if item.archive is None:
            return item.store.send_ahead(item.url, etl_name=item.etl_name)
        tar = self._tars.get(item.archive)
        return tar.send_ahead(item.url, etl_name=item.etl_name) if tar is not None else None

    def _open(self, item: ResolvedUrl) -> tuple[str, Body]:
        if item.archive is None:
            body = item.store.get(item.url, etl_name=item.etl_name)
        elif (tar := self._tars.get(item.archive)) is not None:
            body = tar.get(item.url, etl_name=item.etl_name)
        else:
            body = self._open_first_of_tar(item, item.archive)
        return item.text, body

    def _open_first_of_tar(self, item: ResolvedUrl, archive: ObjectUrl) -> Body:
        """Open a file in a tar, or an object in a folder whose name only looks like a tar's."""
        try:
            return item.store.get(item.url, etl_name=item.etl_name)
        except StorageError as error:
            # For a path through a file, a file system says that the file is not a folder.
            if type(error) not in (NotFoundError, StorageError):
                raise
            missing = error
        tar = TarStore(item.store, archive)
        try:
            tar.check()
        except NotFoundError:
            raise missing from None
        self._tars[archive] = tar
        return tar.get(item.url, etl_name=item.etl_name)


def _body_bytes(opened: tuple[str, Body]) -> int:
    size = opened[1].size_bytes
    return _UNKNOWN_COUNTS_AS_BYTES if size is None else size


@functional_names("ais_list_sources", "list_sources_by_ais")
class AISSourceLister(_EpochPipe, IterDataPipe[str]):
    """List the URLs of all objects of some sources; `ais_list_sources`, `list_sources_by_ais`.

    Args:
        ais_sources: Buckets, object groups (aisio's or the official package's), prefixes, names in
            a catalog, or anything with the official `list_urls(prefix=, etl=)`.
        prefix: Name of an object, prefix or pattern to list from each; see
            `aisio.patterns.selections`.
        etl: Have the cluster transform each object by this ETL when it is loaded: its name, or an
            ETLConfig of the official package.
        etl_name: Its name; older releases of the official package call the argument so.
        url: Endpoint of the cluster for sources given as URLs; by default AIS_ENDPOINT.
        client: The cluster, instead of `url`.
        direct: Read clouds (s3://, gs://, az://) without the cluster; settings say how.
        allow_empty: Accept a prefix or source without objects; by default that is an error.
        include: Patterns for names, as in "*.jpg": only objects that match one are listed; see
            `aisio.patterns.name_patterns`.
        exclude: Patterns for names: objects that match one are left out.

    Yields:
        URLs of objects, source by source; http URLs if there is an ETL.

    Raises:
        NotFoundError: At iteration: a bucket does not exist, or a source has no object.
        ConfigError: At iteration: there is no source, or the sources are an iterator that has
            ended.
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
        include: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__()
        self._allow_empty = allow_empty
        self._patterns = NamePatterns(include, exclude, owner=type(self).__name__)
        self.sources = ais_sources
        self.prefix = prefix
        self.etl_name = etl_name or (etl if isinstance(etl, str) else getattr(etl, "name", None))
        self._etl = None if isinstance(etl, str) else etl
        self._direct = direct
        self._client = explicit_client(client, url)

    def __iter__(self) -> Iterator[str]:
        for item in self._epoch(self.sources, may_be_empty=self._allow_empty):
            urls, about = self._urls(item), item if isinstance(item, str) else repr(item)
            if not self._allow_empty:
                why = self._patterns.why_empty
                urls = require_some(urls, about, prefix=self.prefix, why=why)
            yield from urls

    def _urls(self, item: Any) -> Iterator[str]:
        adapted = adapt_sdk_object(item)
        if adapted is item and _has_official_listing(item):
            if self._patterns:
                raise ConfigError(
                    f"<{type(self).__name__}> include, exclude: {item!r} lists its objects itself"
                )
            return iter(item.list_urls(prefix=self.prefix, etl=self._official_etl()))
        item_source = source(adapted, client=self._client, direct=self._direct)
        item_source = filtered(item_source, self._patterns)
        return item_source.list_urls(self.prefix, self.etl_name, allow_empty=self._allow_empty)

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
