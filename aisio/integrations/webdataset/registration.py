"""What importing `aisio.integrations.webdataset` changes in webdataset.

- `gopen_schemes`, its table of openers: URLs of clusters, clouds and catalogs are opened by aisio,
  in place of the programs `ais`, `gsutil` and curl. http, https, file, pipe, hf and others stay
  webdataset's.
- `tariterators.tar_file_iterator`: streams that aisio opened are read by aisio's parser, see
  `tar_files`. All others go to webdataset's own function.
- `cache.FileCache`, for `cache_dir=`: see `shard_cache`.
- The C library keeps what is freed, here and in workers: see `freed_memory`. Batches of bytes come
  from workers by pickle, and half of what they cost the trainer were page faults.
- Stages of its pipelines, when they are pickled, name this module. So a worker that is spawned
  imports it, and opens the same URLs by the same means.
"""

from __future__ import annotations

import copyreg
import inspect
from collections.abc import Iterator
from functools import wraps
from typing import Any

from aisio.errors import ConfigError
from aisio.extras import missing_extra
from aisio.freed_memory import keep_freed_memory
from aisio.integrations.webdataset.opener import ObjectStream, open_url
from aisio.integrations.webdataset.shard_cache import cache_name, read_by_aisio
from aisio.sources.catalog_source import SCHEME
from aisio.urls import ALIASES, MEMORY, OSS

try:
    from webdataset import __version__ as webdataset_version
    from webdataset import cache, filters, shardlists, tariterators
    from webdataset.gopen import gopen_schemes

    from aisio.integrations.webdataset.tar_files import read_files
except ImportError as error:
    raise missing_extra("webdataset", "webdataset") from error

__all__ = ["SCHEMES", "register"]

SCHEMES = (*ALIASES, OSS, MEMORY, SCHEME.partition(":")[0])
"""The schemes of URLs that aisio opens for webdataset."""

_STAGES = (
    cache.FileCache,
    cache.StreamingOpen,
    filters.FilterFunction,
    shardlists.ResampledShards,
    shardlists.SimpleShardList,
)
"""At least one of these is in each pipeline that opens URLs."""


_MARK = "_reads_streams_of_aisio"
"""Attribute of the functions that `register` puts in the place of webdataset's. One that another
library has made with functools.wraps, around one of these, has it too."""


def register() -> None:
    """Teach webdataset to open and read by aisio; once is enough.

    Raises:
        ConfigError: This webdataset reads shards by other means than those of 1.0.
    """
    keep_freed_memory()
    gopen_schemes.update(dict.fromkeys(SCHEMES, open_url))
    for stage in _STAGES:
        copyreg.pickle(stage, _reduce)
    if not hasattr(tariterators.tar_file_iterator, _MARK):
        ours = _with_streams_of_aisio(tariterators.tar_file_iterator)
        setattr(ours, _MARK, True)
        tariterators.tar_file_iterator = ours
    if not hasattr(cache.FileCache.__call__, _MARK):
        opener = read_by_aisio(cache.FileCache.__call__, _is_aisios)
        setattr(opener, _MARK, True)
        cache.FileCache.__call__ = opener
        cache.FileCache.__init__.__kwdefaults__["url_to_name"] = _cache_name


def _is_aisios(url: str) -> bool:
    return url.partition(":")[0] in SCHEMES


def _cache_name(url: str) -> str:
    return cache_name(url) if _is_aisios(url) else str(cache.url_to_cache_name(url))


def _with_streams_of_aisio(theirs: Any) -> Any:
    names = list(inspect.signature(theirs).parameters)
    if names[1:] != list(inspect.signature(read_files).parameters)[1:]:
        raise ConfigError(
            f"webdataset {webdataset_version} reads shards by"
            f" tar_file_iterator({', '.join(names)}), which this version of aisio does not know:"
            " use webdataset 1.0"
        )

    @wraps(theirs)
    def tar_file_iterator(fileobj: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        read = read_files if isinstance(fileobj, ObjectStream) else theirs
        files: Iterator[Any] = read(fileobj, *arguments, **options)
        return files

    return tar_file_iterator


def _reduce(stage: Any) -> tuple[Any, ...]:
    """Pickle a stage as it would be without aisio, but through a function of this module."""
    function, arguments, *rest = stage.__reduce_ex__(4)
    return _call, (function, arguments), *rest


def _call(function: Any, arguments: tuple[Any, ...]) -> Any:
    return function(*arguments)
