"""The objects or files that a URL stands for, each with its name in the tree that is copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aisio.errors import NotFoundError, UrlError
from aisio.folder_walk import OnBrokenLink
from aisio.patterns.selections import Selections
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.sources.kinds import PrefixSource
from aisio.stores import LocalStore, Store
from aisio.urls import FILE, ObjectUrl, folder_url

__all__ = [
    "Entry",
    "Tree",
    "existing",
    "folder_of",
    "is_pattern",
    "list_folder",
    "open_tree",
    "tree_of_source",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """An object or file of a tree.

    Attributes:
        name: Its name in the tree, as in "train/0.jpg".
        info: What its store lists of it.
        source: Reads it.
    """

    name: str
    info: ObjectInfo
    source: Source


@dataclass(frozen=True, slots=True)
class Tree:
    """Some objects or files, each listed once.

    Attributes:
        about: The URL that stands for them, for errors.
        entries: They, listed lazily.
        is_single: The URL names one object itself: a copy of it may get another name.
        folder: The folder or bucket that is listed whole; None for an object or a pattern.
    """

    about: str
    entries: Iterable[Entry]
    is_single: bool = False
    folder: ObjectUrl | None = None


class _AllObjects(PrefixSource):
    """The objects below a prefix, indexes of shards included."""

    def __init__(self, store: Store, url: ObjectUrl, on_error: OnBrokenLink | None) -> None:
        super().__init__(store, url)
        self._on_error = on_error

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `Source.list`; the empty objects that some tools mark folders with are left out."""
        longer = max(self.url.name, prefix, key=len)
        url = self.url.with_name(longer)
        if self._on_error is not None and isinstance(self.store, LocalStore):
            infos = self.store.list_around_broken_links(url, self._on_error)
        else:
            infos = self.store.list(url)
        return (info for info in infos if not info.name.endswith("/"))


def folder_of(url: ObjectUrl) -> ObjectUrl:
    """Return the URL of a folder: with "/" at its end; that of a bucket as it is."""
    return url if not url.name or url.name.endswith("/") else url.with_name(f"{url.name}/")


def open_tree(
    store: Store,
    url: ObjectUrl,
    *,
    recursive: bool,
    as_prefix: bool = False,
    on_error: OnBrokenLink | None = None,
) -> Tree:
    """Return the tree of a URL.

    Names in it begin behind the last "/" of a folder or prefix, or behind the last "/" before the
    first wildcard of a pattern.

    Args:
        store: The store that holds it.
        url: An object, a pattern (see `aisio.patterns.selections`), or a folder or bucket.
        recursive: The URL is that of a folder, unless it is a pattern.
        as_prefix: With `recursive`, "tr" stands for train/ and trash/, not for the folder tr/.
        on_error: Called with the path and the error of a broken link; without it, that is raised.

    Raises:
        NotFoundError: The URL names one local file, and there is none.
        UrlError: It names no object, and is not read recursively.
    """
    bucket = _AllObjects(store, url.with_name(""), on_error)
    if is_pattern(store, url):
        base = folder_url(url.with_name(Selections(url.name).start))
        return Tree(str(url), _named(bucket, base, bucket.select(url.name)))
    if recursive and not _is_object(url):
        prefix = url if as_prefix else folder_of(url)
        infos = _AllObjects(store, prefix, on_error).list()
        return Tree(str(url), _named(bucket, folder_url(prefix), infos), folder=prefix)
    return Tree(str(url), [_single(bucket, store, url)], is_single=True)


def list_folder(store: Store, folder: ObjectUrl) -> Iterator[Entry]:
    """List what is in a folder or bucket, whose URL is no pattern."""
    source = _AllObjects(store, folder, None)
    return _named(source, folder_url(folder), source.list())


def tree_of_source(source: Source, about: str) -> Tree:
    """Return the tree of a source, such as one of a catalog."""
    return Tree(about, _named(source, source.base_url, source.list()))


def _named(source: Source, base_url: str, infos: Iterable[ObjectInfo]) -> Iterator[Entry]:
    for info in infos:
        url = info.url
        name = url[len(base_url) :] if base_url and url.startswith(base_url) else info.name
        yield Entry(name, info, source)


def _single(source: Source, store: Store, url: ObjectUrl) -> Entry:
    if not url.name or url.name.endswith("/"):
        what = f"/{url.name} is a folder" if url.provider == FILE else f"{url} names no object"
        raise UrlError(f"{what}: --recursive takes all that are below it", url=str(url))
    info = store.head(url) if isinstance(store, LocalStore) else ObjectInfo(url.root, url.name)
    return Entry(url.name.rpartition("/")[2], info, source)


def is_pattern(store: Store, url: ObjectUrl) -> bool:
    """Tell whether a URL has braces or wildcards, and is not itself the name of an object."""
    selections = Selections(url.name)
    if selections.single is not None:
        return False
    if url.provider == FILE:
        return not Path("/", url.name).exists()
    if next(iter(selections)).is_expanded:
        return True
    try:
        store.head(url)
    except NotFoundError:
        return True
    return False


def _is_object(url: ObjectUrl) -> bool:
    """Tell of a URL that is no pattern whether it is known to name a file or an object."""
    if url.provider == FILE:
        return Path("/", url.name).is_file()
    return Selections(url.name).single is None


def existing(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries; the tree is empty where there is no such folder or bucket yet.

    Raises:
        NotFoundError: It was removed while it was listed.
    """
    entries = iter(entries)
    try:
        first = next(entries, None)
    except NotFoundError:
        return
    if first is not None:
        yield first
        yield from entries
