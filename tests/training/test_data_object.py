"""DataObject: a binary file with a name, for the libraries that take one."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from aisio import ConfigError, DataObject, NotFoundError, source
from aisio.records import ObjectInfo
from aisio.sources.base import Source
from aisio.training.data_object import READ_WHOLE_BYTES, DataObjects

TEXT = b"first\nsecond\n\nlast"


def data_object(path: Path, content: bytes | None = None) -> DataObject:
    """Return the object of a file, which it makes if there is content."""
    if content is not None:
        path.write_bytes(content)
    own = source([f"file://{path}"])
    return DataObject(own, next(own.list()))


@pytest.fixture(params=["there", "read whole", "streamed"])
def text(request, tmp_path, monkeypatch) -> DataObject:
    """Return an object whose bytes are there, are read, or come as they are read."""
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    own = source(f"file://{tmp_path}/")
    (info,) = own.list()
    if request.param == "streamed":
        # As if it were larger than is read whole.
        info = ObjectInfo(info.root, info.name, READ_WHOLE_BYTES + 1)
    return DataObject(own, info, TEXT if request.param == "there" else None)


def test_it_reads_as_any_binary_file(text: DataObject) -> None:
    """Side by side with one."""
    expected = io.BytesIO(TEXT)
    for step in (
        lambda file: file.tell(),
        lambda file: file.read(3),
        lambda file: file.readline(),
        lambda file: file.readline(2),
        lambda file: file.read1(2),
        lambda file: file.seek(-4, io.SEEK_END),
        lambda file: file.read(),
        lambda file: file.read(),
        lambda file: file.seek(0),
        lambda file: file.readlines(),
        lambda file: file.seek(6),
        lambda file: file.read(None),
        lambda file: file.seek(2),
        lambda file: [file.readinto(buffer := bytearray(5)), bytes(buffer)],
        lambda file: [file.readinto1(buffer := bytearray(1)), bytes(buffer)],
        lambda file: file.tell(),
        lambda file: list(file),
        lambda file: (file.readable(), file.seekable(), file.isatty()),
    ):
        assert step(text) == step(expected)


def test_it_is_a_file_that_cannot_be_written(text: DataObject) -> None:
    """Nor has it a descriptor."""
    assert isinstance(text, io.BufferedIOBase)
    assert not text.writable()
    for step in (lambda: text.write(b""), text.fileno, text.detach):
        with pytest.raises(io.UnsupportedOperation):
            step()


def test_a_closed_one_says_so(text: DataObject) -> None:
    """With its URL; what was read of it stays."""
    with text as opened:
        data = opened.read()
    assert data == TEXT
    for step in (text.read, text.tell, text.open, text.readable, lambda: pickle.dumps(text)):
        with pytest.raises(ValueError, match="text: the object is closed"):
            step()
    text.close()
    assert text.size_bytes in (len(TEXT), READ_WHOLE_BYTES + 1)


def test_libraries_take_it_where_they_take_a_file(tmp_path: Path) -> None:
    """Pillow, numpy, torch, zipfile; and what they return outlives it."""
    Image.new("RGB", (4, 3), "red").save(tmp_path / "image.png")
    numpy.save(tmp_path / "array.npy", numpy.arange(5))
    torch.save({"a": torch.arange(3)}, tmp_path / "tensor.pt")
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("member", "text")
    image = Image.open(data_object(tmp_path / "image.png"))
    assert image.convert("RGB").getpixel((1, 1)) == (255, 0, 0)
    assert numpy.load(data_object(tmp_path / "array.npy")).tolist() == [0, 1, 2, 3, 4]
    loaded = torch.load(data_object(tmp_path / "tensor.pt"), weights_only=True)
    assert loaded["a"].tolist() == [0, 1, 2]
    assert zipfile.ZipFile(data_object(tmp_path / "some.zip")).read("member") == b"text"
    target = io.BytesIO()
    shutil.copyfileobj(data_object(tmp_path / "array.npy"), target)
    assert target.getvalue() == (tmp_path / "array.npy").read_bytes()


def test_it_says_what_is_known_of_it() -> None:
    """By the words of HTTP and of S3."""
    info = ObjectInfo("s3://bucket", "train/a.jpg", 3, version="v7", etag="e1", label="cat")
    one = DataObject(None, info, b"abc")
    assert (one.url, one.bucket, one.key, one.name) == (
        "s3://bucket/train/a.jpg",
        "bucket",
        "train/a.jpg",
        "train/a.jpg",
    )
    assert (one.size_bytes, one.label, one.version, one.etag) == (3, "cat", "v7", "e1")
    assert repr(one) == "<DataObject 's3://bucket/train/a.jpg'>"
    bare = DataObject(None, ObjectInfo("file://", "a"), b"")
    assert (bare.bucket, bare.label, bare.version, bare.etag, bare.size_bytes) == (
        "",
        "",
        "",
        "",
        0,
    )


def test_a_size_that_is_not_listed_is_looked_up(tmp_path: Path) -> None:
    """Without reading the object; also under the names of others."""
    one = data_object(tmp_path / "a", b"12345")
    assert (one.size_bytes, one.size, one.props_cached.size) == (5, 5, 5)
    (tmp_path / "a").unlink()
    assert one.size_bytes == 5
    with pytest.raises(NotFoundError, match="/a: no such file"):
        one.read()


def test_an_etl_decides_about_the_size(tmp_path: Path) -> None:
    """What is listed is another one: the object is read."""
    (tmp_path / "a").write_bytes(b"12345")
    own = source(f"file://{tmp_path}/")
    (info,) = own.list()
    with pytest.raises(ConfigError, match="ETL"):
        _ = DataObject(own, info, etl_name="upper").size_bytes


def test_it_pickles_where_it_stands(text: DataObject) -> None:
    """With its bytes if it has them, else as a way to them."""
    assert text.read(6) == b"first\n"
    again = pickle.loads(pickle.dumps(text))
    assert (again.url, again.tell(), again.readline()) == (text.url, 6, b"second\n")
    assert text.readline() == b"second\n"


def test_one_with_bytes_pickles_without_its_source(tmp_path: Path) -> None:
    """A batch of them is no larger than their bytes."""
    own: Source = source(f"file://{tmp_path}/")
    one = DataObject(own, ObjectInfo("file://", "a", 3), b"abc")
    own.refuses = lambda: None  # type: ignore[attr-defined]  # it cannot be pickled
    assert pickle.loads(pickle.dumps(one)).read() == b"abc"


def test_the_bytes_are_not_copied() -> None:
    """All of them at once are the object that was received."""
    data = bytes(range(256)) * 100
    assert DataObject(None, ObjectInfo("file://", "a"), data).read() is data


def test_a_list_of_objects_makes_each_when_it_is_looked_at(tmp_path: Path) -> None:
    """Negative indices, slices, iteration; nothing is read."""
    from aisio.sources.listing_table import ListingTable, encode_blocks

    own = source(f"file://{tmp_path}/")
    rows = [(0, ObjectInfo("file://", f"gone{number}", number)) for number in range(5)]
    objects = DataObjects(ListingTable([own], encode_blocks(rows)))
    assert (len(objects), objects[-1].name, repr(objects)) == (
        5,
        "gone4",
        "<DataObjects of 5 objects>",
    )
    assert [one.size_bytes for one in objects[1:3]] == [1, 2]
    assert [one.props_cached.size for one in objects] == [0, 1, 2, 3, 4]
    with pytest.raises(IndexError):
        objects[5]


def test_it_shows_what_it_is_without_reading_it() -> None:
    """Without the signature of its URL."""
    info = ObjectInfo("https://h", "a.jpg?sig=s3cret", label="cat")
    one = DataObject(None, info)
    assert repr(one) == "<DataObject 'https://h/a.jpg?sig=***'>"
    html = one._repr_html_()
    assert "<td>cat</td></tr><tr><th>size</th><td>not known yet</td>" in html
    assert "s3cret" not in html
