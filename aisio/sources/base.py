"""What every source of objects can do."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import TypeAlias

from aisio.client.client import Client
from aisio.errors import ConfigError, IntegrityError
from aisio.patterns.selections import Selection, Selections
from aisio.records import ObjectInfo, may_be_same_object
from aisio.sources.nothing_found import require_some
from aisio.stores import AisStore, DirectSettings, Store, store_for
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_http_url

_log = logging.getLogger("aisio.sources")

StoreFinder: TypeAlias = Callable[[ObjectUrl], Store]
"""Returns the store that holds a URL."""


class Source(ABC):
    """Some objects, in a fixed order. Sources pickle and may be shared by threads.

    Attributes:
        etl_name: ETL that transforms the objects where none is named; None where there is none.
        needs_single_reads: Objects must come by `get` and `read`, which do more than the store's
            own.
    """

    etl_name: str | None = None
    needs_single_reads = False

    @property
    def base_url(self) -> str:
        """URL of the folder that the names count from, with its final "/"; "" where there is none.

        Objects that are elsewhere go by their whole URL.
        """
        return ""

    @property
    def unpinned(self) -> Source:
        """The same objects without a digest that their listing is compared with."""
        return self

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the source's objects, those whose names begin with the prefix; lazily.

        Args:
            prefix: Plain-string prefix of the object's name within its bucket.

        Raises:
            NotFoundError: No such bucket, at the first item.
        """

    @abstractmethod
    def store_of(self, info: ObjectInfo) -> Store:
        """Return the store that holds an object of this source."""

    def is_named(self, info: ObjectInfo) -> bool:
        """Tell whether the source names this object, and did not just meet it in a listing."""
        return False

    def select(self, text: str = "", *, allow_empty: bool = False) -> Iterator[ObjectInfo]:
        """List the objects that a text takes from this source; lazily.

        Args:
            text: Name of an object, prefix or pattern, within the bucket; see
                `aisio.patterns.selections`.
            allow_empty: Pass over what braces make and the source does not have.

        Raises:
            UrlError: Braces or wildcards that cannot be meant.
            NotFoundError: No such bucket, at the first item; or, when its turn comes, there is no
                object for one of the texts that braces make.
        """
        return chain.from_iterable(
            require_some(self.selected(one), self.base_url or repr(self), prefix=one.text)
            if one.is_expanded and not allow_empty
            else self.selected(one)
            for one in Selections(text)
        )

    def selected(self, selection: Selection) -> Iterator[ObjectInfo]:
        """List the objects of one selection; lazily."""
        if selection.is_complete:
            yield from self._named(selection.start)
            return
        if selection.may_be_object:
            found = self.object_named(selection.literal)
            if found:
                _tell_shadowed(found[0], selection)
                yield from found
                return
        matched = False
        for info in self.list(selection.start):
            if selection.pattern is None or selection.pattern.matches(info.name):
                matched = True
                yield info
        if selection.pattern is not None and not matched:
            yield from self.list(selection.literal)

    def object_named(self, name: str) -> Sequence[ObjectInfo]:
        """Return the object of exactly this name, as often as the source has it."""
        return [info for info in self.list(name) if info.name == name]

    def _named(self, name: str) -> Iterator[ObjectInfo]:
        """Yield the object of this name; a store may leave it to the read whether it exists."""
        return iter(self.object_named(name))

    def list_urls(
        self, prefix: str = "", etl_name: str | None = None, *, allow_empty: bool = False
    ) -> Iterator[str]:
        """List the objects' URLs.

        Args:
            prefix: As for `select`.
            etl_name: Give http URLs that have the cluster transform each object by this ETL.
            allow_empty: As for `select`.

        Raises:
            ConfigError: An ETL is named for objects that are not in a cluster.
            NotFoundError: As for `select`.
        """
        for info in self.select(prefix, allow_empty=allow_empty):
            yield self._etl_url(info, etl_name) if etl_name else info.url

    def _etl_url(self, info: ObjectInfo, etl_name: str) -> str:
        store = self.store_of(info)
        if not isinstance(store, AisStore):
            raise ConfigError(
                f"{info.url} is no object of a cluster: ETL {etl_name!r} cannot transform it"
            )
        return object_http_url(store.client.endpoint, url_of(info), etl_name)

    def get(self, info: ObjectInfo, *, etl_name: str | None = None) -> Body:
        """Open an object of this source, to be read once; errors as for `Store.get`."""
        body = self.store_of(info).get(url_of(info), etl_name=etl_name)
        if not etl_name:
            try:
                self._check_answer(info, body.info)
            except BaseException:
                body.close()
                raise
        return body

    def send_ahead(self, info: ObjectInfo, *, etl_name: str | None = None) -> PendingGet | None:
        """Send the request of a `read` that comes later; see `Store.send_ahead`."""
        return self.store_of(info).send_ahead(url_of(info), etl_name=etl_name)

    def read(self, info: ObjectInfo, *, etl_name: str | None = None) -> bytes:
        """Return the bytes of an object of this source; errors as for `Store.read`."""
        store, url = self.store_of(info), url_of(info)
        if etl_name:
            return store.read(url, etl_name=etl_name)
        answer, data = store.read_with_info(url)
        self._check_answer(info, answer)
        return data

    def _check_answer(self, listed: ObjectInfo, answer: ObjectInfo) -> None:
        """Refuse an answer that is not about what was listed, unless that was replaced since.

        AIStore's answer to a GET does not say which object it is of: one that belongs to another
        request shows by nothing else.
        """
        if may_be_same_object(listed, answer):
            return
        now = self.store_of(listed).head(url_of(listed))
        if not may_be_same_object(now, answer):
            raise IntegrityError(
                f"GET {listed.url}: {now.size_bytes} bytes are stored ({listed.size_bytes} were "
                f"listed), the answer has {answer.size_bytes}, of another object: read it again",
                url=listed.url,
            )


def _tell_shadowed(found: ObjectInfo, selection: Selection) -> None:
    """Warn of an object that a shell made of a pattern once: it hides what the pattern matches."""
    if selection.pattern is not None and "*" in selection.literal:
        text = "%s is read as the object of this name; to match others, write it as in *.ta[r]"
        _log.warning(text, found.url)


def _is_object(info: ObjectInfo) -> bool:
    """Tell an object from the empty one that some tools mark a folder with."""
    return bool(info.size_bytes) or not info.name.endswith("/")


class MixedSource(Source):
    """Objects of any stores, each found by its URL.

    Args:
        find_store: Returns the store that holds a URL; it must pickle.
    """

    def __init__(self, find_store: StoreFinder) -> None:
        self._find_store = find_store
        self._stores: dict[tuple[str, bool], Store] = {}

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self._store_for(url_of(info))

    def _store_for(self, url: ObjectUrl) -> Store:
        kind = url.provider, bool(url.namespace)  # a namespace is a cluster's
        store = self._stores.get(kind)
        return store or self._stores.setdefault(kind, self._find_store(url))


def find_store(client: Client | None, direct: bool | DirectSettings = False) -> StoreFinder:
    """Return what finds the store of a URL by `store_for` with these arguments; it pickles."""
    return partial(_find, client=client, direct=direct)


def _find(url: ObjectUrl, *, client: Client | None, direct: bool | DirectSettings) -> Store:
    return store_for(url, client, direct=direct)


@lru_cache(maxsize=1024)
def _root_url(root: str) -> ObjectUrl:
    return ObjectUrl.parse(f"{root}/")


def url_of(info: ObjectInfo) -> ObjectUrl:
    """Return the address of a listed object."""
    return _root_url(info.root).with_name(info.name)
