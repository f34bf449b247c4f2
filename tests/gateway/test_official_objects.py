"""The official client's other ways to write and move objects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrObjNotFound


def test_multipart_upload(sdk: Bucket) -> None:
    """Parts in any order, as bytes and as files; nothing is seen before the end."""
    item, parts = sdk.object("o"), {number: os.urandom(1_000_000) for number in (1, 2, 3)}
    upload = item.multipart_upload().create()
    for number in (3, 1, 2):
        upload.add_part(number).put_content(parts[number])
    with pytest.raises(ErrObjNotFound):
        item.get_reader().read_all()
    assert upload.complete().status_code == 200
    assert item.get_reader().read_all() == parts[1] + parts[2] + parts[3]


def test_an_aborted_upload(sdk: Bucket) -> None:
    """It leaves nothing, and cannot be completed."""
    upload = sdk.object("o").multipart_upload().create()
    upload.add_part(1).put_content(b"x")
    upload.abort()
    with pytest.raises(AISError) as caught:
        upload.complete()
    assert caught.value.status_code == 404


def test_appending(sdk: Bucket) -> None:
    """By handles, and through its file."""
    writer = sdk.object("o").get_writer()
    handle = writer.append_content(b"one")
    handle = writer.append_content(b"two", handle=handle)
    writer.append_content(b"", handle=handle, flush=True)
    assert sdk.object("o").get_reader().read_all() == b"onetwo"
    with writer.as_file("a") as file:
        file.write(b"three")
    assert sdk.object("o").get_reader().read_all() == b"onetwothree"
    with writer.as_file("w") as file:
        file.write(b"anew")
    assert sdk.object("o").get_reader().read_all() == b"anew"


def test_copying(client: Client, sdk: Bucket) -> None:
    """Within a bucket and to another one."""
    other = client.bucket(f"{sdk.name}-other")
    other.create()
    sdk.object("o").get_writer().put_content(b"data")
    sdk.object("o").get_writer().set_custom_props({"k": "v"})
    for target in (sdk.object("c"), other.object("d/c")):
        sdk.object("o").copy(target)
        assert target.get_reader().read_all() == b"data"
        assert target.props.custom_metadata == {"k": "v"}


def test_custom_props_are_added_or_replaced(sdk: Bucket) -> None:
    """As the caller says."""
    item = sdk.object("o")
    item.get_writer().put_content(b"data")
    item.get_writer().set_custom_props({"a": "1"})
    item.get_writer().set_custom_props({"b": "2"})
    assert sdk.object("o").props.custom_metadata == {"a": "1", "b": "2"}
    item.get_writer().set_custom_props({"c": "3"}, replace_existing=True)
    assert sdk.object("o").props.custom_metadata == {"c": "3"}


@pytest.mark.parametrize("buffer_size", [1000, 1 << 20])
def test_reading_as_a_file(sdk: Bucket, buffer_size: int) -> None:
    """Its resuming file, in reads of any size."""
    data = os.urandom(300_000)
    sdk.object("o").get_writer().put_content(data)
    with sdk.object("o").get_reader(chunk_size=buffer_size).as_file() as file:
        assert file.read(7) == data[:7]
        assert file.read(70_000) == data[7:70_007]
        assert file.read() == data[70_007:]


def test_reading_in_parallel(sdk: Bucket) -> None:
    """Ranges by several workers make the whole."""
    data = os.urandom(300_000)
    sdk.object("o").get_writer().put_content(data)
    reader = sdk.object("o").get_reader(num_workers=2, chunk_size=50_000)
    assert b"".join(reader) == data


def test_writing_a_file_and_a_folder(sdk: Bucket, tmp_path: Path) -> None:
    """Its own ways to upload what is on disk."""
    for name in ("x", "y"):
        (tmp_path / name).write_bytes(name.encode())
    sdk.put_files(str(tmp_path), prepend="p/", basename=True)
    assert sorted(entry.name for entry in sdk.list_all_objects()) == ["p/x", "p/y"]
