"""What the constructors of object datasets share: their options, and sources of each kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, TypeVar, cast

from aisio.client.aistore_sdk import adapt_sdk_object
from aisio.client.client import Client
from aisio.client.shared_clients import explicit_client
from aisio.errors import ConfigError
from aisio.patterns.name_patterns import Patterns
from aisio.records import Concurrency
from aisio.shards.tar_index_loading import StoredFile
from aisio.sources.base import Source
from aisio.sources.kinds import PrefixSource, UrlListSource
from aisio.sources.manifest import ManifestParser, ManifestSource
from aisio.sources.mixed import StoreFinder
from aisio.sources.named import parse_url
from aisio.sources.resolve import source
from aisio.stores import DirectSettings, store_for
from aisio.training.member_order import MemberOrder
from aisio.training.missing_objects import OnMissing
from aisio.training.object_items import Transform
from aisio.training.split_options import Equalize, Ranks, Split
from aisio.training.tar_members import TarMemberSource
from aisio.urls import FILE, ObjectUrl

__all__ = [
    "BatchIterOptions",
    "IterOptions",
    "MapOptions",
    "Place",
    "manifest_source",
    "objects_source",
    "prefix_source",
    "takes_options_of",
    "tar_source",
    "url_source",
]

F = TypeVar("F", bound=Callable[..., Any])

Place: TypeAlias = "str | os.PathLike[str]"
"""A URL, or the path of a local file or folder."""


class _ItemOptions(TypedDict, total=False):
    client: Client | None
    endpoint: str | None
    direct: bool | DirectSettings
    concurrency: int | Concurrency | None
    allow_empty: bool
    skip_empty: bool
    include: Patterns
    exclude: Patterns
    transform: Transform | None
    on_missing: OnMissing


class _IterationOptions(TypedDict, total=False):
    show_progress: bool
    partition_sources_by_worker: bool
    length: int | None
    split: Split
    ranks: Ranks
    equalize: Equalize


class MapOptions(_ItemOptions, total=False):
    """The options of `AISMapDataset`, which documents them."""

    etl_name: str | None


class IterOptions(MapOptions, _IterationOptions, total=False):
    """The options of `AISIterDataset`, which documents them."""


class BatchIterOptions(_ItemOptions, _IterationOptions, total=False):
    """The options of `AISBatchIterDataset`, which documents them."""

    max_batch_size: int
    output_format: str
    streaming: bool
    colocation: int
    cont_on_err: bool
    missing: OnMissing | None


def takes_options_of(constructor: Callable[..., Any]) -> Callable[[F], F]:
    """Have `help()` and notebooks show the options that `**options` of a method stands for.

    Args:
        constructor: The options are its arguments; without those that say what is read.
    """

    def show(method: F) -> F:
        own = signature(method)
        first = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        options = [
            one.replace(kind=Parameter.KEYWORD_ONLY)
            for name, one in signature(constructor).parameters.items()
            if name not in ("self", "ais_source_list", "prefix_map")
        ]
        cast("Any", method).__signature__ = own.replace(parameters=[*first, *options])
        return method

    return show


def prefix_source(owner: str, url: Place, options: _ItemOptions) -> Source:
    """Return the source of all objects whose URLs begin with a text, literally.

    Raises:
        ConfigError: It is empty.
        UrlError: It is no URL.
    """
    parsed = _parsed(_required(owner, "url", url), is_folder=True)
    return PrefixSource(_finder(options)(parsed), parsed)


def objects_source(owner: str, urls: Place | Iterable[Place], options: _ItemOptions) -> Source:
    """Return the source of some objects, in their order.

    Raises:
        ConfigError: There is none, or one of them is neither a URL nor a path.
        UrlError: One of them is not the URL of an object.
    """
    places = [urls] if isinstance(urls, (str, os.PathLike)) else list(urls or ())
    for place in _required(owner, "urls", places):
        _required(owner, "urls", place)
    return UrlListSource(
        [str(_parsed(place)) if isinstance(place, os.PathLike) else place for place in places],
        _finder(options),
    )


def manifest_source(
    owner: str, path_or_url: Place, parser: ManifestParser, base_url: Place, options: _ItemOptions
) -> Source:
    """Return the source of the objects that a manifest lists.

    Raises:
        ConfigError: An argument is empty, or the parser cannot be called.
        UrlError: The manifest's URL is not valid.
    """
    place = _required(owner, "path_or_url", path_or_url)
    if not callable(_required(owner, "parser", parser)):
        raise ConfigError(f"<{owner}> parser={parser!r} cannot be called")
    if isinstance(place, str) and "://" not in place:
        place = Path(place)
    if not isinstance(base_url, (str, os.PathLike)):
        raise ConfigError(f"<{owner}> base_url must be a URL or a path, not {base_url!r}")
    base = base_url if isinstance(base_url, str) else str(_parsed(base_url, is_folder=True))
    return ManifestSource(_parsed(place), _finder(options), parser=parser, key_base=base)


def tar_source(
    owner: str,
    tar_url: Place,
    index_url: Place,
    options: IterOptions | MapOptions,
    order: MemberOrder | None = None,
) -> Source:
    """Return the source of the regular files of a tar, by its index.

    Raises:
        ConfigError: An argument is empty, the two are in different buckets, or an option has no
            meaning for a tar.
        UrlError: One of them is not the URL of an object.
    """
    tar = _parsed(_required(owner, "tar_url", tar_url)).require_object()
    index = _parsed(_required(owner, "index_url", index_url)).require_object()
    if FILE not in (tar.provider, index.provider) and tar.root != index.root:
        raise ConfigError(
            f"<{owner}> tar_url and index_url must be in the same bucket, or one of them a local"
            f" file: {tar.root}, {index.root}"
        )
    if options.get("etl_name"):
        raise ConfigError(f"<{owner}> etl_name: a file in a tar cannot be transformed by an ETL")
    if options.get("skip_empty"):
        raise ConfigError(
            f"<{owner}> skip_empty: the index of a tar does not say which files are empty"
        )
    if options.get("include") or options.get("exclude"):
        raise ConfigError(
            f"<{owner}> include, exclude: the index of a tar does not say what files are called"
        )
    if options.get("partition_sources_by_worker"):
        raise ConfigError(f"<{owner}> partition_sources_by_worker: a tar is one source")
    find = _finder(options)
    return TarMemberSource(StoredFile(find(tar), tar), StoredFile(find(index), index), order)


def url_source(owner: str, url: Any, options: _ItemOptions) -> Source:
    """Return the source of whatever `aisio.source` takes.

    Raises:
        ConfigError: It is empty.
        UrlError: A URL is not valid.
    """
    direct = options.get("direct", False)
    return source(_required(owner, "url", url), client=_client(options), direct=direct)


def _required(owner: str, name: str, value: Any) -> Any:
    if value is None or (isinstance(value, (str, list, tuple)) and not value):
        raise ConfigError(f"<{owner}> {name} must be non-empty")
    return value


def _parsed(place: Place, *, is_folder: bool = False) -> ObjectUrl:
    if isinstance(place, os.PathLike):
        return ObjectUrl.parse(f"file://{Path(place).resolve()}{'/' * is_folder}")
    return parse_url(place)


def _client(options: _ItemOptions) -> Client | None:
    return explicit_client(adapt_sdk_object(options.get("client")), options.get("endpoint"))


def _finder(options: _ItemOptions) -> StoreFinder:
    return partial(store_for, client=_client(options), direct=options.get("direct", False))
