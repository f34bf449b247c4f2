"""Sources that need no file to know their objects: prefixes, groups, lists of URLs, templates."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from aisio.client.client import ObjectGroup
from aisio.errors import AccessError, ConfigError, NotFoundError
from aisio.escapes import first_few
from aisio.formats.index_file import INDEX_SUFFIX
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.mixed import MixedSource, StoreFinder
from aisio.stores import AisStore, Store
from aisio.summary import counted, shown
from aisio.urls import WEB_SCHEMES, ObjectUrl, folder_url
from aisio.wire.templates import parse_template


class PrefixSource(Source):
    """All objects of a bucket or local folder whose names begin with a prefix.

    Args:
        store: The store that holds them.
        url: Bucket and plain-string prefix.
    """

    def __init__(self, store: Store, url: ObjectUrl) -> None:
        self.store = store
        self.url = url

    def _key(self) -> Hashable:
        return self.store, self.url

    def __repr__(self) -> str:
        return f"PrefixSource({shown(self.url)!r})"

    def _summary(self) -> Mapping[str, object]:
        return {"url": self.url, "store": self.store}

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; the prefix up to its last "/"."""
        return folder_url(self.url)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; names must begin with the source's own prefix and the argument.

        Indexes of shards, which stand beside the shards, are left out.
        """
        own_prefix = self.url.name
        if not (own_prefix.startswith(prefix) or prefix.startswith(own_prefix)):
            return iter(())
        longer = max(own_prefix, prefix, key=len)
        infos = self.store.list(self.url.with_name(longer))
        return filter(_is_object if longer.endswith(INDEX_SUFFIX) else _is_data, infos)

    def object_named(self, name: str) -> Sequence[ObjectInfo]:
        """See `Source.object_named`; by a HEAD, as a listing may fetch a page of other names."""
        if self.url.provider in WEB_SCHEMES or not name.startswith(self.url.name):
            return list(self._named(name))  # it cannot be a prefix: a web server has no listing
        try:
            return [self.store.head(self.url.with_name(name))]
        except NotFoundError:
            return ()
        except AccessError:
            # The user may be allowed to list only. The shortest name comes first in a listing.
            return [info for info in islice(self.list(name), 1) if info.name == name]

    def _named(self, name: str) -> Iterator[ObjectInfo]:
        if name.startswith(self.url.name):
            yield ObjectInfo(self.url.root, name)

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


class GroupSource(Source):
    """The objects of a group, in the group's order; whether they exist is not looked up.

    Args:
        group: The group.
    """

    def __init__(self, group: ObjectGroup) -> None:
        self.group = group
        self.store = AisStore(group.bucket.client)

    def _key(self) -> Hashable:
        return self.group

    def __repr__(self) -> str:
        return f"GroupSource({self.group!r})"

    def _summary(self) -> Mapping[str, object]:
        return self.group._summary()

    @property
    def base_url(self) -> str:
        """See `Source.base_url`."""
        return folder_url(self.group.bucket.url)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known."""
        return self.group.list(prefix)

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`; True for all."""
        return True

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


class UrlListSource(MixedSource):
    """The objects of a list of URLs, in its order, of any stores.

    Whether they exist is not looked up.

    Args:
        urls: URLs of objects.
        find_store: See `MixedSource`.

    Raises:
        UrlError: One of them is not the URL of an object.
    """

    def __init__(self, urls: Iterable[str], find_store: StoreFinder) -> None:
        super().__init__(find_store)
        self.urls = tuple(_object_url(url) for url in urls)
        for url in self.urls:
            self._store_for(url)

    def _key(self) -> Hashable:
        # Not all that it knows: a store that it is asked for later must not change the hash.
        return self.urls, frozenset(map(self._store_for, self.urls))

    def __repr__(self) -> str:
        return f"UrlListSource({counted(len(self.urls), 'object')})"

    def _summary(self) -> Mapping[str, object]:
        return {"objects": len(self.urls), "urls": first_few(self.urls)}

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known."""
        return (ObjectInfo(url.root, url.name) for url in self.urls if url.name.startswith(prefix))

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`; True for all."""
        return True


class TemplateSource(Source):
    """The objects of one bucket whose names a template makes, in its order.

    Whether they exist is not looked up.

    Args:
        store: The store that holds them.
        url: Bucket and template, as in ais://data/train-{000..099}.tar; see
            `aisio.wire.templates`.

    Raises:
        UrlError: The template is not valid.
    """

    def __init__(self, store: Store, url: ObjectUrl) -> None:
        self.store = store
        self.url = url
        self._template = parse_template(url.name)
        for name in islice(self._template.names(), 1):
            url.with_name(name).require_object()

    def _key(self) -> Hashable:
        return self.store, self.url

    def __repr__(self) -> str:
        return f"TemplateSource({shown(self.url)!r}, {counted(self._template.count, 'object')})"

    def _summary(self) -> Mapping[str, object]:
        return {"url": self.url, "objects": self._template.count, "store": self.store}

    @property
    def base_url(self) -> str:
        """See `Source.base_url`; that of the text before the template's first range."""
        return folder_url(self.url.with_name(self._template.gaps[0]))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; sizes are not known."""
        root = self.url.root
        return (
            ObjectInfo(root, name) for name in self._template.names() if name.startswith(prefix)
        )

    def is_named(self, info: ObjectInfo) -> bool:
        """See `Source.is_named`; True for all."""
        return True

    def store_of(self, info: ObjectInfo) -> Store:
        """See `Source.store_of`."""
        return self.store


def _is_object(info: ObjectInfo) -> bool:
    """Tell whether this is an object, and not the empty one that some tools mark a folder with."""
    return bool(info.size_bytes) or not info.name.endswith("/")


def _is_data(info: ObjectInfo) -> bool:
    """Tell whether this is an object, and not the index of shards beside it."""
    return _is_object(info) and not info.name.endswith(INDEX_SUFFIX)


def _object_url(item: Any) -> ObjectUrl:
    if not isinstance(item, str):
        raise ConfigError(
            f"a list that is one source holds URLs of objects, not a {type(item).__name__}: "
            "give a dataset the sources themselves"
        )
    return ObjectUrl.parse(item).require_object()
