"""aisio's own direct store, and obstore itself, on the gateway's S3 API, with signatures."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from aisio.gateway import Gateway
from aisio.stores import DirectSettings, DirectStore
from aisio.testing.store_contract import StoreContract
from aisio.urls import ObjectUrl
from tests.gateway.s3.conftest import KEYS

obstore: Any = pytest.importorskip("obstore")
_numbers = itertools.count()


@pytest.fixture
def folder(signed: Gateway) -> Path:
    """Return the folder of a new bucket."""
    folder = signed.folder / f"store-{next(_numbers)}"
    folder.mkdir()
    return folder


class TestS3(StoreContract):
    """The contract of stores."""

    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    @pytest.fixture
    def store(self, signed: Gateway) -> DirectStore:
        """Return the store."""
        options = {"access_key_id": KEYS[0], "secret_access_key": KEYS[1], "region": "ais"}
        return DirectStore(DirectSettings(endpoint=signed.s3_endpoint, options=options))

    @pytest.fixture
    def root(self, folder: Path) -> ObjectUrl:
        """Return an empty bucket."""
        return ObjectUrl.parse(f"s3://{folder.name}")

    def put_raw(self, url: ObjectUrl, data: bytes) -> None:
        """Put an object by other means."""
        path = self.folder / url.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get_raw(self, url: ObjectUrl) -> bytes:
        """Get an object by other means."""
        return (self.folder / url.name).read_bytes()


@pytest.fixture
def store(signed: Gateway, folder: Path) -> Any:
    """Return obstore's own store."""
    return obstore.store.S3Store(
        folder.name,
        endpoint=signed.s3_endpoint,
        access_key_id=KEYS[0],
        secret_access_key=KEYS[1],
        region="us-east-1",
        client_options={"allow_http": True},
    )


def test_obstore_creates_and_replaces_conditionally(store: Any) -> None:
    """By If-None-Match and If-Match."""
    obstore.put(store, "o", b"1", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "o", b"2", mode="create")
    etag = obstore.head(store, "o")["e_tag"]
    obstore.put(store, "o", b"3", mode={"e_tag": etag})
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.put(store, "o", b"4", mode={"e_tag": etag})
    assert bytes(obstore.get(store, "o").bytes()) == b"3"


def test_obstore_uploads_in_parts_lists_copies_and_deletes(store: Any) -> None:
    """In its own chunks; names with characters that URLs escape."""
    data = bytes(range(256)) * 50_000
    obstore.put(store, "d/é +&.bin", data, chunk_size=5 << 20)
    obstore.copy(store, "d/é +&.bin", "copy")
    obstore.rename(store, "copy", "d/renamed")
    for name in ("d/é +&.bin", "d/renamed"):
        assert bytes(obstore.get(store, name).bytes()) == data
        assert bytes(obstore.get_range(store, name, start=300, end=400)) == data[300:400]
    names = [entry["path"] for page in obstore.list(store, "d") for entry in page]
    assert names == ["d/renamed", "d/é +&.bin"]
    assert obstore.list_with_delimiter(store)["common_prefixes"] == ["d"]
    obstore.delete(store, names)
    assert list(obstore.list(store)) == []


def test_obstore_signs_urls(store: Any) -> None:
    """For whoever has no keys."""
    obstore.put(store, "é +", b"hello")
    url = obstore.sign(store, "GET", "é +", timedelta(minutes=1))
    assert requests.get(url).content == b"hello"
    assert requests.put(url, data=b"x").status_code == 403
