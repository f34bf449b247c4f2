"""Buckets: created, found, listed and destroyed."""

from __future__ import annotations

import uuid
from multiprocessing import get_context

import pytest

from aisio.client.client import Bucket, Client
from aisio.errors import ConflictError, NotFoundError


def test_the_cluster_is_ready(client: Client) -> None:
    """One request tells."""
    assert client.ready() is True


def test_a_bucket_comes_and_goes(client: Client) -> None:
    """Its whole life."""
    bucket = client.bucket(f"aisio-test-{uuid.uuid4().hex[:12]}")
    assert not bucket.exists()
    assert bucket.create().exists()
    assert bucket in client.buckets()
    bucket.delete()
    assert not bucket.exists()
    assert bucket not in client.buckets()


def test_a_bucket_is_created_once(bucket: Bucket) -> None:
    """A second time only where that is said to be fine; what is in it stays."""
    bucket.object("o").put(b"stays")
    with pytest.raises(ConflictError, match=f"{bucket.url}.*already exists"):
        bucket.create()
    assert bucket.create(exist_ok=True).object("o").get() == b"stays"


def test_a_missing_bucket_is_an_error_that_names_it(client: Client) -> None:
    """AIS-21: for whatever is asked of it."""
    missing = client.bucket("aisio-test-never-made")
    for ask in (
        missing.delete,
        lambda: list(missing.list()),
        missing.object("o").get,
        missing.object("o").head,
        lambda: missing.object("o").put(b"x"),
        missing.object("o").delete,
    ):
        with pytest.raises(NotFoundError, match="ais://aisio-test-never-made"):
            ask()
    missing.delete(missing_ok=True)


def test_a_full_bucket_is_deleted_with_what_is_in_it(bucket: Bucket) -> None:
    """And is empty when made again."""
    bucket.object("o").put(b"x")
    bucket.delete()
    assert list(bucket.create().list()) == []


def read(bucket: Bucket, name: str) -> bytes:
    """Read in another process."""
    return bucket.object(name).get()


def test_a_bucket_goes_to_a_spawned_process(bucket: Bucket) -> None:
    """With nothing but its settings."""
    bucket.object("o").put(b"there")
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(read, (bucket, "o")) == b"there"
        pool.close()
        pool.join()
