"""ShardOpener: the stage of a webdataset pipeline that opens shards through aisio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from aisio.integrations.webdataset import ObjectStream
from aisio.records import ObjectInfo
from aisio.sources.base import Source

__all__ = ["ShardOpener"]


class ShardOpener:
    """Opens shards of a source, in place of webdataset's own stage, with what it yields.

    So local shards are verified too, and workers that are spawned read as the program does.

    Args:
        source: What the shards are objects of.
        shards: Shards by the URLs under which the pipeline knows them.
        handler: Takes an error, and returns whether to go on with the next shard.
    """

    def __init__(
        self,
        source: Source,
        shards: Mapping[str, ObjectInfo],
        handler: Callable[[Exception], bool],
    ) -> None:
        self._source = source
        self._shards = shards
        self._handler = handler

    def __call__(self, urls: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield URLs with open shards, each of which is closed when the next one is asked for."""
        for item in urls:
            url = item["url"]
            try:
                stream = ObjectStream(self._source.get(self._shards[url]), url)
            except Exception as error:
                if self._handler(error):
                    continue
                return
            with closing(stream):
                opened = {"url": url, "stream": stream}
                yield opened if "://" in url else {**opened, "local_path": url}
