"""Listing a bucket of objects, 1 KB each."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from aisio.wire.listing import list_message
from by_hand import Address, Connections
from corpus import Corpus
from measuring import READY, Items
from peers import official, s3_store

PREFIX = "tiny/"


class Entry(msgspec.Struct):
    """An entry of a page: name and size."""

    n: str
    s: int = 0


class Page(msgspec.Struct):
    """A page of a listing; its fields are named as on the wire."""

    ContinuationToken: str
    UUID: str
    Entries: list[Entry] | None


def list_aisio(corpus: Corpus) -> Items:
    """`Bucket.list`: an ObjectInfo for each object."""
    from aisio import Client

    bucket = Client(corpus.endpoint).bucket(corpus.bucket)
    yield READY
    for info in bucket.list(PREFIX):
        yield info.size_bytes or 0


def list_official(corpus: Corpus) -> Items:
    """`Bucket.list_objects_iter` of the official SDK."""
    bucket = official(corpus)
    yield READY
    for entry in bucket.list_objects_iter(prefix=PREFIX, props="name,size"):
        yield int(entry.size)


def list_official_objects(corpus: Corpus) -> Items:
    """`Bucket.list_all_objects_iter` of the official SDK: an Object each, as in its datasets."""
    bucket = official(corpus)
    yield READY
    for item in bucket.list_all_objects_iter(prefix=PREFIX, props="name,size"):
        yield int(item.props_cached.size)


def list_obstore(corpus: Corpus) -> Items:
    """Listing by obstore over the cluster's S3 interface."""
    store = s3_store(corpus)
    yield READY
    for page in store.list(PREFIX):
        for entry in page:
            yield int(entry["size"])


def list_by_hand(corpus: Corpus) -> Items:
    """Pages by http.client, decoded by msgspec into two fields an entry."""
    decoder, encoder = msgspec.msgpack.Decoder(Page), msgspec.json.Encoder()
    address = Address(urlsplit(corpus.endpoint).netloc, f"/v1/buckets/{corpus.bucket}?provider=ais")
    headers = {"Content-Type": "application/json", "Accept": "application/msgpack"}
    connections = Connections()
    page = Page("", "", None)
    yield READY
    while True:
        message = list_message(
            prefix=PREFIX, props="name,size", token=page.ContinuationToken, uuid=page.UUID
        )
        response = connections.get(address, encoder.encode(message), **headers)
        page = decoder.decode(response.read())
        for entry in page.Entries or ():
            yield entry.s
        if not page.ContinuationToken:
            return


CASES = {
    "aisio": list_aisio,
    "official SDK": list_official,
    "official SDK, as objects": list_official_objects,
    "obstore over /s3": list_obstore,
    "by hand: http.client, msgspec": list_by_hand,
}
