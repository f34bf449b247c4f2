"""Source: which objects to read, from wherever they are named."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from aisio.client import Bucket, Client, ObjectGroup
from aisio.errors import ConfigError, IntegrityError
from aisio.official import adapt_official
from aisio.records import ObjectInfo
from aisio.stores import AisStore, DirectSettings, Store, store_for
from aisio.streams import Body
from aisio.urls import ObjectUrl
from aisio.wire.messages import object_http_url

SourceLike: TypeAlias = "Source | Bucket | ObjectGroup | str | os.PathLike[str] | Iterable[str]"
"""What `source` understands; buckets and groups of the official `aistore` package belong to it as
well."""

PrefixMap: TypeAlias = "Mapping[Any, str | Sequence[str] | None]"
"""Source -> the prefix or prefixes of the objects to take from it; a source without one gives
all."""


class Source(ABC):
    """Some objects of a store, in a fixed order. Sources pickle and may be shared by threads."""

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

    def list_urls(self, prefix: str = "", etl_name: str | None = None) -> Iterator[str]:
        """List the objects' URLs.

        Args:
            prefix: As for `list`.
            etl_name: Give http URLs that have the cluster transform each object by this ETL.

        Raises:
            ConfigError: An ETL is named for objects that are not in a cluster.
        """
        for info in self.list(prefix):
            yield self._etl_url(info, etl_name) if etl_name else info.url

    def _etl_url(self, info: ObjectInfo, etl_name: str) -> str:
        store = self.store_of(info)
        if not isinstance(store, AisStore):
            raise ConfigError(f"{info.url} is in no cluster: ETL {etl_name!r} cannot transform it")
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

    def read(self, info: ObjectInfo, *, etl_name: str | None = None) -> bytes:
        """Return the bytes of an object of this source; errors as for `Store.read`."""
        store, url = self.store_of(info), url_of(info)
        if etl_name:
            return store.read(url, etl_name=etl_name)
        if isinstance(store, AisStore):
            answer, data = store.client.object(url).get_with_info()
        else:
            data = store.read(url)
            answer = ObjectInfo(info.root, info.name, len(data))
        self._check_answer(info, answer)
        return data

    def _check_answer(self, listed: ObjectInfo, answer: ObjectInfo) -> None:
        """Refuse an answer that is not about what was listed, unless that was replaced since.

        AIStore's answer to a GET does not say which object it is of: one that belongs to another
        request shows by nothing else.
        """
        if _can_be_one(listed, answer):
            return
        now = self.store_of(listed).head(url_of(listed))
        if not _can_be_one(now, answer):
            raise IntegrityError(
                f"GET {listed.url}: {now.size_bytes} bytes are stored ({listed.size_bytes} were "
                f"listed), the answer has {answer.size_bytes}, of another object: read it again",
                url=listed.url,
            )


class PrefixSource(Source):
    """All objects whose names begin with a prefix: those of a bucket, or a local folder.

    Args:
        store: Where they are.
        url: Bucket and plain-string prefix.
    """

    def __init__(self, store: Store, url: ObjectUrl) -> None:
        self.store = store
        self.url = url

    def __repr__(self) -> str:
        return f"PrefixSource({str(self.url)!r})"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; names must begin with this source's own prefix and the given one."""
        own = self.url.name
        if own.startswith(prefix):
            return self.store.list(self.url)
        if prefix.startswith(own):
            return self.store.list(self.url.with_name(prefix))
        return iter(())

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


class GroupSource(Source):
    """The objects of a group, in the group's order, without asking whether they exist.

    Args:
        group: The group.
    """

    def __init__(self, group: ObjectGroup) -> None:
        self.group = group
        self.store = AisStore(group.bucket.client)

    def __repr__(self) -> str:
        return f"GroupSource({self.group!r})"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known."""
        return self.group.list(prefix)

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


class UrlListSource(Source):
    """The objects of a list of URLs, in its order, of any stores.

    Whether they exist is not looked up.

    Args:
        urls: URLs of objects.
        client: The cluster; without it one made from the environment.
        direct: Go round the cluster; see `store_for`.

    Raises:
        UrlError: One of them is not the URL of an object.
    """

    def __init__(
        self,
        urls: Iterable[str],
        client: Client | None = None,
        *,
        direct: bool | DirectSettings = False,
    ) -> None:
        self.urls = tuple(_object_url(url) for url in urls)
        self.stores: dict[tuple[str, bool], Store] = {}
        for url in self.urls:
            if _kind(url) not in self.stores:
                self.stores[_kind(url)] = store_for(url, client, direct=direct)

    def __repr__(self) -> str:
        return f"UrlListSource({len(self.urls)} objects)"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known."""
        return (ObjectInfo(url.root, url.name) for url in self.urls if url.name.startswith(prefix))

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.stores[_kind(url_of(info))]


def source(
    what: SourceLike, *, client: Client | None = None, direct: bool | DirectSettings = False
) -> Source:
    """Return the source that something stands for.

    Args:
        what: The URL of a bucket or prefix ("ais://imagenet/train/", "file:///data/"), a list of
            URLs of objects, a Path of a local folder, a Bucket, an ObjectGroup, one of either from
            the official `aistore` package, or a Source, which is returned as it is.
        client: The cluster for URLs; without it one made from the environment.
        direct: For URLs of clouds, go round the cluster; see `store_for`.

    Raises:
        UrlError: A URL that cannot be meant.
        ConfigError: Something else, or a cluster is needed and not known.
    """
    adapted = adapt_official(what)
    if isinstance(adapted, Source):
        return adapted
    if isinstance(adapted, Bucket):
        return PrefixSource(AisStore(adapted.client), adapted.url)
    if isinstance(adapted, ObjectGroup):
        return GroupSource(adapted)
    if isinstance(adapted, str):
        url = ObjectUrl.parse(adapted)
        return PrefixSource(store_for(url, client, direct=direct), url)
    if isinstance(adapted, os.PathLike):
        return source(f"file://{Path(adapted).resolve()}/", client=client)
    if isinstance(adapted, Iterable) and not isinstance(adapted, bytes):
        return UrlListSource(adapted, client, direct=direct)
    raise ConfigError(
        f"a {type(what).__name__} is no source: "
        "pass a URL, URLs, a Path, a Bucket or an ObjectGroup"
    )


class SourceSet:
    """Several sources in order, each cut down to its prefixes: what a dataset reads.

    Args:
        sources: One source, or a list of them, in any form that `source` understands.
        prefix_map: What to take from each; the keys are the very values given in `sources`.
        owner: Name of the class on whose behalf errors speak.
        client: The cluster for sources given as URLs.
        direct: For URLs of clouds, go round the cluster; see `store_for`.

    Raises:
        ValueError: No source at all.
        ConfigError: The prefix map names something that is not among the sources.
    """

    def __init__(
        self,
        sources: Any,
        prefix_map: PrefixMap | None = None,
        *,
        owner: str,
        client: Client | None = None,
        direct: bool | DirectSettings = False,
    ) -> None:
        given = [sources] if _is_single(sources) else list(sources)
        if not given:
            raise ValueError(f"<{owner}> ais_source_list must be provided")
        prefixes = prefix_map or {}
        self._parts = [
            (
                source(item, client=client, direct=direct),
                _prefixes(prefixes.get(item) if _hashable(item) else None),
            )
            for item in given
        ]
        known = {item for item in given if _hashable(item)}
        unknown = ", ".join(repr(key) for key in prefixes if key not in known)
        if unknown:
            raise ConfigError(
                f"<{owner}> prefix_map has keys that are not among the sources: {unknown}"
            )

    def __len__(self) -> int:
        return len(self._parts)

    def list(self, only: slice = slice(None)) -> Iterator[tuple[Source, ObjectInfo]]:
        """List the objects of all sources, or of a slice of them, each with its source; lazily.

        Prefixes are taken in their order: where two overlap, an object comes twice.
        """
        for one, prefixes in self._parts[only]:
            for prefix in prefixes:
                for info in one.list(prefix):
                    yield one, info


def _can_be_one(first: ObjectInfo, second: ObjectInfo) -> bool:
    """Tell whether size and checksum, as far as both are known, let two answers be about one."""
    if None not in (first.size_bytes, second.size_bytes) and first.size_bytes != second.size_bytes:
        return False
    one, other = first.checksum, second.checksum
    return one is None or other is None or one.kind != other.kind or one.value == other.value


def _is_single(sources: Any) -> bool:
    """Tell one source from several: a group is a source, though it can be iterated too."""
    one = isinstance(sources, (Source, Bucket, ObjectGroup, str, bytes, os.PathLike))
    return one or adapt_official(sources) is not sources or not isinstance(sources, Iterable)


def _prefixes(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ("",)
    return (value,) if isinstance(value, str) else tuple(value)


def _hashable(item: Any) -> bool:
    try:
        hash(item)
    except TypeError:
        return False
    return True


def _object_url(item: Any) -> ObjectUrl:
    if not isinstance(item, str):
        raise ConfigError(
            f"a list that is one source holds URLs of objects, not a {type(item).__name__}: "
            "give a dataset the sources themselves"
        )
    return ObjectUrl.parse(item).require_object()


def _kind(url: ObjectUrl) -> tuple[str, bool]:
    """Return what decides about a URL's store: a namespace is a cluster's."""
    return url.provider, bool(url.namespace)


@lru_cache(maxsize=1024)
def _root_url(root: str) -> ObjectUrl:
    return ObjectUrl.parse(f"{root}/")


def url_of(info: ObjectInfo) -> ObjectUrl:
    """Return the address of a listed object."""
    return _root_url(info.root).with_name(info.name)
