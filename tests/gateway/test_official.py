"""The official client as a second opinion: what it can do with a cluster, it can do here."""

from __future__ import annotations

from pathlib import Path

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrBckAlreadyExists, ErrBckNotFound, ErrObjNotFound
from aistore.sdk.list_object_flag import ListObjectFlag


def test_it_is_ready(client: Client) -> None:
    """Its own check of a cluster passes."""
    assert client.cluster().is_ready()
    smap = client.cluster().get_info()
    assert (len(smap.pmap), len(smap.tmap)) == (1, 1)


def test_buckets(client: Client, sdk: Bucket) -> None:
    """Create, list, HEAD, delete, and its errors."""
    assert sdk.name in [entry.name for entry in client.cluster().list_buckets()]
    assert "Ais-Bucket-Props" in sdk.head()
    with pytest.raises(ErrBckAlreadyExists):
        sdk.create()
    assert sdk.create(exist_ok=True) is not None
    sdk.delete()
    with pytest.raises(AISError) as caught:
        sdk.head()
    assert caught.value.status_code == 404
    with pytest.raises(ErrBckNotFound):
        sdk.delete()
    with pytest.raises(ErrBckNotFound):
        sdk.list_objects()


@pytest.mark.parametrize("name", ["a", "d/%25", "ü x?y#z", "a+b&c"])
def test_objects(sdk: Bucket, tmp_path: Path, name: str) -> None:
    """Write from memory and from a file, read whole, in chunks and in part, HEAD, delete."""
    item, data = sdk.object(name), bytes(range(256)) * 1000
    item.get_writer().put_content(data)
    assert item.get_reader().read_all() == data
    (tmp_path / "file").write_bytes(data[::-1])
    item.get_writer().put_file(str(tmp_path / "file"))
    reader = item.get_reader(chunk_size=10_000)
    assert b"".join(reader) == data[::-1]
    assert item.get_reader(byte_range="bytes=5-9").read_all() == data[::-1][5:10]
    assert (reader.attributes.obj_version, reader.attributes.size) == ("2", len(data))
    assert item.head("checksum").checksum_type == "xxhash2"
    assert (item.props.size, item.props.present, item.props.mirror_copies) == (len(data), True, 1)
    item.delete()
    with pytest.raises(ErrObjNotFound):
        item.get_reader().read_all()
    with pytest.raises(AISError) as caught:
        item.head()
    assert caught.value.status_code == 404


def test_the_newer_head(sdk: Bucket) -> None:
    """The form with props."""
    sdk.object("o").get_writer().put_content(b"data")
    props = sdk.object("o").head("checksum,version,etag,last-modified")
    assert (props.size, props.checksum_type, props.obj_version) == (4, "xxhash2", "1")
    assert props.etag


def test_custom_props(sdk: Bucket) -> None:
    """Set with the writer, read with HEAD."""
    sdk.object("o").get_writer().put_content(b"data")
    sdk.object("o").get_writer().set_custom_props({"a": "1", "b": "2"})
    assert sdk.object("o").props.custom_metadata == {"a": "1", "b": "2"}


def test_listings(sdk: Bucket) -> None:
    """By page, by iterator, all at once; flags and props."""
    names = [f"d/{number:03}" for number in range(25)] + ["e"]
    for name in names:
        sdk.object(name).get_writer().put_content(b"xyz")
    page = sdk.list_objects(page_size=10)
    assert [entry.name for entry in page.entries] == names[:10]
    assert page.continuation_token == names[9]
    assert [entry.name for entry in sdk.list_objects_iter(page_size=10)] == names
    assert [entry.name for entry in sdk.list_all_objects(page_size=5)] == names
    assert [entry.name for entry in sdk.list_all_objects(prefix="e")] == ["e"]
    entry = sdk.list_objects(props="name,size,checksum,version,atime").entries[0]
    assert (entry.size, entry.version, entry.is_cached(), entry.is_ok()) == (3, "1", True, True)
    assert entry.checksum
    level = sdk.list_objects(flags=[ListObjectFlag.NO_RECURSION]).entries
    assert [entry.name for entry in level] == ["d/", "e"]


def test_a_refusal_is_an_error_that_it_understands(sdk: Bucket, tmp_path: Path) -> None:
    """It arrives as its general error, with AIStore's text."""
    with pytest.raises(AISError, match="must be under /var/lib/ais/promote"):
        sdk.object("o").promote(str(tmp_path))


def test_direct_reads(client: Client, sdk: Bucket) -> None:
    """It computes the target from the gateway's map, and finds the object there."""
    sdk.object("o").get_writer().put_content(b"data")
    assert sdk.object("o").get_reader(direct=True).read_all() == b"data"
