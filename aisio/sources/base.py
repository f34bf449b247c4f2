"""What every source of objects can do."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from msgspec.structs import replace

from aisio.equality import EqualByKey
from aisio.errors import ConfigError, IntegrityError
from aisio.patterns.selections import Selection, Selections
from aisio.records import ByteRange, ObjectInfo, may_be_same_object
from aisio.sources.nothing_found import require_some
from aisio.stores import AisStore, Store
from aisio.summary import Summarized
from aisio.transport.body import Body
from aisio.transport.concurrency.pending import PendingGet
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_http_url

_log = logging.getLogger("aisio.sources")


class Source(EqualByKey, Summarized, ABC):
    """Some objects, in a fixed order. Sources pickle and may be shared by threads.

    Attributes:
        etl_name: ETL that transforms the objects if the caller names none; None for none.
        why_empty: Why it may list no object; "" where a misspelt name is the likely reason.
        needs_single_reads: Objects must be read by `get` and `read`, which do more than those of
            the store; a batch cannot replace them.
    """

    etl_name: str | None = None
    why_empty = ""
    needs_single_reads = False

    def _summary(self) -> Mapping[str, object]:
        return {"objects in": self.base_url} if self.base_url else {}

    @property
    def base_url(self) -> str:
        """URL, with its final "/", of the folder that names are relative to; "" for none.

        An object outside of that folder is named by its whole URL.
        """
        return ""

    @property
    def unpinned(self) -> Source:
        """The same objects, without a digest that their listing must have."""
        return self

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List the source's objects whose names begin with a prefix; lazily.

        Args:
            prefix: Plain-string prefix of the object's name within its bucket.

        Raises:
            NotFoundError: There is no such bucket; raised at the first item.
        """

    @abstractmethod
    def store_of(self, info: ObjectInfo) -> Store:
        """Return the store that holds an object of this source."""

    def completed(self, info: ObjectInfo) -> ObjectInfo:
        """Return an object of this source with its size: by a HEAD if the listing has none.

        Raises:
            NotFoundError: There is no such object.
        """
        if info.size_bytes is not None:
            return info
        found = self.store_of(info).head(url_of(info))
        return replace(found, root=info.root, name=info.name, label=info.label)

    def is_named(self, info: ObjectInfo) -> bool:
        """Tell whether the source names this object itself, so that it is not just in a listing."""
        return False

    def select(self, text: str = "", *, allow_empty: bool = False) -> Iterator[ObjectInfo]:
        """List the objects of this source that a text selects; lazily.

        Args:
            text: Name of an object, prefix or pattern, within the bucket; see
                `aisio.patterns.selections`.
            allow_empty: Skip expansions of braces for which the source has no object.

        Raises:
            UrlError: Braces or wildcards are not valid.
            NotFoundError: There is no such bucket; raised at the first item. Or there is no object
                for one of the expansions of braces; raised when the listing comes to it.
        """
        return chain.from_iterable(
            require_some(
                self.selected(selection), self.base_url or repr(self), prefix=selection.text
            )
            if selection.is_expanded and not allow_empty
            else self.selected(selection)
            for selection in Selections(text)
        )

    def selected(self, selection: Selection) -> Iterator[ObjectInfo]:
        """List the objects of one selection; lazily."""
        if selection.is_complete:
            yield from self._named(selection.start)
            return
        if selection.may_be_object:
            objects = self.object_named(selection.literal)
            if objects:
                _warn_of_shadowing(objects[0], selection)
                yield from objects
                return
        matched = False
        for info in self.list(selection.start):
            if selection.pattern is None or selection.pattern.matches(info.name):
                matched = True
                yield info
        if selection.pattern is not None and not matched:
            yield from self.list(selection.literal)

    def object_named(self, name: str) -> Sequence[ObjectInfo]:
        """Return the object of exactly this name: none, one, or as often as the source lists it."""
        return [info for info in self.list(name) if info.name == name]

    def _named(self, name: str) -> Iterator[ObjectInfo]:
        """Yield the object of this name; subclasses need not look up whether it exists."""
        return iter(self.object_named(name))

    def list_urls(
        self, prefix: str = "", etl_name: str | None = None, *, allow_empty: bool = False
    ) -> Iterator[str]:
        """List the objects' URLs.

        Args:
            prefix: As for `select`.
            etl_name: Yield http URLs from which the cluster sends each object transformed by this
                ETL.
            allow_empty: As for `select`.

        Raises:
            ConfigError: `etl_name` is given for objects that are not in a cluster.
            NotFoundError: As for `select`.
        """
        for info in self.select(prefix, allow_empty=allow_empty):
            yield self.listed_url(info, etl_name)

    def listed_url(self, info: ObjectInfo, etl_name: str | None = None) -> str:
        """Return the URL of an object of this source; arguments and errors as for `list_urls`."""
        return self._etl_url(info, etl_name) if etl_name else info.url

    def _etl_url(self, info: ObjectInfo, etl_name: str) -> str:
        store = self.store_of(info)
        if not isinstance(store, AisStore):
            raise ConfigError(
                f"{info.url} is no object of a cluster: ETL {etl_name!r} cannot transform it"
            )
        return object_http_url(store.client.endpoint, url_of(info), etl_name)

    def effective_etl(self, etl_name: str | None) -> str | None:
        """Return the ETL that a read uses.

        Args:
            etl_name: What the caller names: "" for none; None for the source's own.
        """
        return (self.etl_name if etl_name is None else etl_name) or None

    def get(
        self,
        info: ObjectInfo,
        *,
        byte_range: ByteRange | None = None,
        etl_name: str | None = None,
    ) -> Body:
        """Open an object of this source, or a range of it, for one read; see `Store.get`."""
        body = self.store_of(info).get(url_of(info), byte_range, etl_name=etl_name)
        if not etl_name:
            try:
                self._check_response(info, body.info)
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
        received, data = store.read_with_info(url)
        self._check_response(info, received)
        return data

    def _check_response(self, listed: ObjectInfo, received: ObjectInfo) -> None:
        """Refuse a response that is not about the listed object, unless that was replaced since.

        AIStore's response to a GET does not name its object. Only size and checksum can show that a
        response belongs to another request.
        """
        if may_be_same_object(listed, received):
            return
        stored = self.store_of(listed).head(url_of(listed))
        if not may_be_same_object(stored, received):
            raise IntegrityError(
                f"GET {listed.url}: {stored.size_bytes} bytes are stored ({listed.size_bytes} were "
                f"listed), the answer has {received.size_bytes}, of another object: read it again",
                url=listed.url,
            )


def _warn_of_shadowing(info: ObjectInfo, selection: Selection) -> None:
    """Warn of an object whose name is the pattern itself: it hides what the pattern matches.

    A shell may have made such an object, from a pattern that matched no file.
    """
    if selection.pattern is not None and "*" in selection.literal:
        text = "%s is read as the object of this name; to match others, write it as in *.ta[r]"
        _log.warning(text, info.url)


@lru_cache(maxsize=1024)
def _root_url(root: str) -> ObjectUrl:
    return ObjectUrl.parse(f"{root}/")


def url_of(info: ObjectInfo) -> ObjectUrl:
    """Return the address of a listed object."""
    return _root_url(info.root).with_name(info.name)
