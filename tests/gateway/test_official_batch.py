"""The official client's batches, streamed and multipart."""

from __future__ import annotations

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError
from aistore.sdk.types import BucketModel

from tests.gateway.archive_data import make_tar

OBJECTS = {"a": b"first", "d/b": b"second", "e": b""}


@pytest.fixture
def filled(sdk: Bucket) -> Bucket:
    """Return a bucket with three objects and an archive."""
    for name, data in OBJECTS.items():
        sdk.object(name).get_writer().put_content(data)
    sdk.object("s.tar").get_writer().put_content(make_tar({"m": b"member"}))
    return sdk


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("form", [".tar", ".tgz", ".zip"])
def test_objects(client: Client, filled: Bucket, streams: bool, form: str) -> None:
    """In order, with their names."""
    names = ["e", "d/b", "a", "a"]
    batch = client.batch(names, bucket=filled, streaming_get=streams, output_format=form)
    members = [(item.obj_name, data) for item, data in batch.get()]
    assert members == [(name, OBJECTS[name]) for name in names]


@pytest.mark.parametrize("streams", [True, False])
def test_members_and_ranges(client: Client, filled: Bucket, streams: bool) -> None:
    """Added one by one, with opaque data of the client."""
    batch = client.batch(bucket=filled, streaming_get=streams)
    batch.add(filled.object("s.tar"), archpath="m", opaque=b"mine")
    batch.add(filled.object("a"), start=1, length=2)
    members = list(batch.get())
    assert [data for _, data in members] == [b"member", b"ir"]
    assert members[0][0].archpath == "m"
    if not streams:
        assert members[0][0].opaque == b"mine"


@pytest.mark.parametrize("streams", [True, False])
def test_missing_objects(client: Client, filled: Bucket, streams: bool) -> None:
    """They are empty if they may be missing; the multipart form says why."""
    batch = client.batch(["a", "none", "e"], bucket=filled, streaming_get=streams)
    members = list(batch.get())
    assert [data for _, data in members] == [b"first", b"", b""]
    if not streams:
        assert "none does not exist" in members[1][0].err_msg
        strict = client.batch(["none"], bucket=filled, streaming_get=False, cont_on_err=False)
        with pytest.raises(AISError) as caught:
            list(strict.get())
        assert caught.value.status_code == 404


def test_entries_carry_their_buckets(client: Client, filled: Bucket) -> None:
    """Objects of two buckets in one batch."""
    other = client.bucket(f"{filled.name}-other")
    other.create()
    other.object("z").get_writer().put_content(b"z")
    members = list(client.batch([filled.object("a"), other.object("z")]).get())
    assert [(item.bucket, data) for item, data in members] == [
        (filled.name, b"first"),
        (other.name, b"z"),
    ]
    assert other.as_model() == BucketModel(name=other.name, provider="ais")
