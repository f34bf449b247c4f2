"""ShardOpener: the stage of a webdataset pipeline that opens shards through aisio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from aisio.errors import IntegrityError
from aisio.integrations.webdataset import ObjectStream
from aisio.records import ObjectInfo, may_be_same_object
from aisio.sources.base import Source
from aisio.training.shard_links import links_of, opened

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
                stream = self._open(url)
            except Exception as error:
                if self._handler(error):
                    continue
                return
            with closing(stream):
                found = {"url": url, "stream": stream}
                yield found if "://" in url else {**found, "local_path": url}

    def _open(self, url: str) -> ObjectStream:
        """Open a shard.

        Raises:
            IntegrityError: It is another one than was listed: samples that were in another shard
                then may be in this one now, and would come twice or not at all.
        """
        listed = self._shards[url]
        links = links_of(self._source, listed)
        body = opened(links, partial(self._source.get, listed))
        if not self._source.needs_single_reads and _is_other(listed, body.info):
            body.close()
            raise IntegrityError(f"{url}: this shard was replaced since setup()", url=url)
        return ObjectStream(body, url, links)


def _is_other(listed: ObjectInfo, received: ObjectInfo) -> bool:
    if listed.etag and received.etag and listed.etag != received.etag:
        return True
    return not may_be_same_object(listed, received)
