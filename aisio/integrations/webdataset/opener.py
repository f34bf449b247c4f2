"""What webdataset opens by aisio: objects to read, verified, and objects to write."""

from __future__ import annotations

import io
from functools import partial
from typing import Literal, overload

from aisio.errors import ConfigError
from aisio.escapes import one_line
from aisio.integrations.webdataset.shard_urls import catalog_shard
from aisio.records import ObjectInfo
from aisio.shards.linked_files import LinkedFiles
from aisio.sources.base import Source
from aisio.sources.catalog_source import SCHEME
from aisio.sources.named import parse_url
from aisio.sources.resolve import source
from aisio.stores import store_for
from aisio.training.shard_links import links_of, opened
from aisio.transport.body import READ_AHEAD_BYTES, Body
from aisio.transport.writer import ObjectWriter, WriteOptions

__all__ = ["ObjectStream", "find_object", "open_url"]


class ObjectStream(io.BufferedReader):
    """The bytes of an object, for whoever webdataset opens it for.

    The read that comes to the end raises IntegrityError if they are not what the store promised. If
    the connection breaks, the read goes on behind the last good byte.

    Attributes:
        url: The object's URL, as webdataset was given it.
        links: Reads what hard links stand for, if this is a shard.
    """

    def __init__(self, body: Body, url: str, links: LinkedFiles | None = None) -> None:
        super().__init__(body, READ_AHEAD_BYTES)
        self.url = url
        self.links = links

    def __repr__(self) -> str:
        return f"<ObjectStream of {one_line(self.url)}>"


@overload
def open_url(url: str, mode: Literal["rb"] = "rb", bufsize: int = -1) -> ObjectStream: ...
@overload
def open_url(url: str, mode: Literal["wb"], bufsize: int = -1) -> ObjectWriter: ...
def open_url(url: str, mode: str = "rb", bufsize: int = -1) -> ObjectStream | ObjectWriter:
    """Open an object as `wds.gopen` does: the handler of all schemes that aisio registers.

    Cluster, token and timeouts are those of the environment, and for a name in a catalog those of
    its entry.

    Args:
        url: The object; for a shard of a catalog's source see `shard_urls`.
        mode: "rb" or "wb".
        bufsize: What webdataset passes; of no use here.

    Raises:
        NotFoundError: There is no such object.
        ConfigError: Another mode, or the URL needs a cluster and AIS_ENDPOINT names none.
    """
    if mode == "rb":
        return _open_stream(url)
    if mode != "wb":
        raise ConfigError(f"{one_line(url)}: mode={mode!r}: 'rb' or 'wb' is needed")
    if url.startswith(SCHEME):
        raise ConfigError(f"{one_line(url)}: an object is written by its own URL, not by a name")
    target = parse_url(url).require_object()
    return store_for(target).writer(target, WriteOptions(allow_empty=True))


def find_object(url: str) -> tuple[Source, ObjectInfo]:
    """Return the source of a URL that webdataset opens, and its object, as listed.

    Raises:
        NotFoundError: As for `catalog_shard`.
        ConfigError: As for `open_url`.
    """
    if url.startswith(SCHEME):
        return catalog_shard(url)
    where = source([url])  # a list: what looks like a pattern is a name here
    (listed,) = where.list()
    return where, listed


def _open_stream(url: str) -> ObjectStream:
    where, listed = find_object(url)
    # With the size from a HEAD, a response that belongs to another request is noticed.
    info = where.completed(listed)
    links = links_of(where, info)
    return ObjectStream(opened(links, partial(where.get, info)), url, links)
