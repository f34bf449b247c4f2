"""Words of the command line -> URLs, paths, names and sizes."""

from __future__ import annotations

import click
import pytest

from aisio.cli.types import (
    DESTINATION,
    FILE_PATH,
    SOURCE,
    URL,
    CatalogName,
    ExistingPath,
    SizeType,
    parse_size,
    require_object,
)
from aisio.errors import ConfigError
from aisio.urls import ObjectUrl


@pytest.mark.parametrize(
    "text", ["ais://b/o?x#y%20", "s3://b/p/", "ais://@uuid#ns/b/o", "file:///data/a.tar"]
)
def test_urls_stay_as_they_are(text):
    """No decoding, no guessing."""
    assert str(URL.convert(text, None, None)) == text


def test_a_path_means_the_local_file(tmp_path, monkeypatch):
    """Relative ones from the current folder, also with dots and colons in them."""
    monkeypatch.chdir(tmp_path)
    for text in ("a/b.jpg", "./a/b.jpg", "a/../a/b.jpg", str(tmp_path / "a/b.jpg")):
        assert str(URL.convert(text, None, None)) == f"file://{tmp_path}/a/b.jpg"
    assert str(URL.convert("12:30.txt", None, None)) == f"file://{tmp_path}/12:30.txt"


def test_a_path_of_a_folder_ends_in_a_slash(tmp_path, monkeypatch):
    """Else `aisio ls data` would list what is in data2, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert str(URL.convert("data", None, None)) == f"file://{tmp_path}/data/"
    assert str(URL.convert("new/", None, None)) == f"file://{tmp_path}/new/"
    assert str(URL.convert(".", None, None)) == f"file://{tmp_path}/"


def test_the_root_folder_is_a_url_too():
    """The one path without a name."""
    assert URL.convert("/", None, None) == ObjectUrl.parse("file:///")


@pytest.mark.parametrize("text", ["ais:b/o", "ftp://b/o", "ais://", "ais://b/../o"])
def test_an_invalid_url_is_a_usage_error(text):
    """Status 2, with what a right URL looks like."""
    with pytest.raises(click.BadParameter):
        URL.convert(text, None, None)


@pytest.mark.parametrize(
    "parameter", [URL, DESTINATION, FILE_PATH, SOURCE], ids=["url", "destination", "file", "source"]
)
def test_an_empty_word_is_a_usage_error(parameter):
    """A shell variable that is not set would otherwise mean the current folder."""
    with pytest.raises(click.BadParameter, match="cannot be empty"):
        parameter.convert("", None, None)


def test_a_destination_in_a_missing_folder_may_be_a_bucket(tmp_path, monkeypatch):
    """A bucket without its scheme would become a local folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.BadParameter, match="for a bucket write ais://bucket/x"):
        DESTINATION.convert("bucket/x", None, None)
    assert str(DESTINATION.convert("./bucket/x", None, None)) == f"file://{tmp_path}/bucket/x"
    (tmp_path / "bucket").mkdir()
    assert str(DESTINATION.convert("bucket/x", None, None)) == f"file://{tmp_path}/bucket/x"
    assert str(DESTINATION.convert("ais://bucket/x", None, None)) == "ais://bucket/x"


def test_a_file_is_a_path_or_a_url_of_one():
    """A final slash stays: it stands for a folder that may not exist yet."""
    assert FILE_PATH.convert("out/", None, None) == "out/"
    assert FILE_PATH.convert("-", None, None) == "-"
    assert FILE_PATH.convert("file:///data/out/", None, None) == "/data/out/"
    with pytest.raises(click.BadParameter, match="a local file is needed here"):
        FILE_PATH.convert("s3://bucket/x", None, None)


def test_a_source_is_a_name_or_a_url():
    """Only catalog:// makes a word a name; click may convert a value twice."""
    name = SOURCE.convert("catalog://team/x", None, None)
    assert name == CatalogName("catalog://team/x")
    assert SOURCE.convert(name, None, None) is name
    url = ObjectUrl.parse("ais://team/x")
    assert SOURCE.convert("ais://team/x", None, None) == url
    assert SOURCE.convert(url, None, None) is url


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("64K", 64 << 10), (" 1m ", 1 << 20), ("2G", 2 << 30), ("3T", 3 << 40)],
)
def test_units_are_powers_of_1024(text, size):
    """In capitals or not."""
    assert parse_size(text) == SizeType().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "K", "1.5G", "-1", "1KB", "1 K", "9" * 19, "1P"])
def test_a_size_that_is_none_is_a_usage_error(text):
    """The error shows what a size looks like."""
    with pytest.raises(ConfigError, match="expected one as in 64K"):
        parse_size(text)
    with pytest.raises(click.BadParameter, match="expected one as in 64K"):
        SizeType().convert(text, None, None)


def test_a_size_of_zero_is_a_usage_error():
    """No command can read or write nothing."""
    with pytest.raises(click.BadParameter, match="at least 1"):
        SizeType().convert("0", None, None)
    assert SizeType().convert(7, None, None) == 7


@pytest.mark.parametrize("text", ["ais://b/{1..", "s3://b/a**b", "no{1,2"])
def test_a_pattern_that_is_not_valid_is_a_usage_error(text, tmp_path, monkeypatch):
    """Where things are read. Written may be what has any name, and so may a file be that exists."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError):
        SOURCE.convert(text, None, None)
    assert URL.convert(text, None, None)
    (tmp_path / "no{1,2").touch()
    assert SOURCE.convert("no{1,2", None, None)


def test_a_file_that_does_not_exist_is_no_usage_error(tmp_path):
    """As little as an object that does not exist."""
    with pytest.raises(FileNotFoundError):
        ExistingPath().convert(str(tmp_path / "none"), None, None)
    with pytest.raises(click.BadParameter, match="is a file"):
        ExistingPath(file_okay=False).convert(__file__, None, None)
    with pytest.raises(click.BadParameter, match="cannot be empty"):
        ExistingPath().convert("", None, None)
    assert ExistingPath().convert(str(tmp_path), None, None) == tmp_path


def test_where_an_object_is_needed_a_bucket_is_a_usage_error():
    """And so is a folder."""
    url = ObjectUrl.parse("ais://b/o")
    assert require_object(url) is url
    for text, says in (("ais://b", "ais://b names no object"), ("file:///d/", "/d/ is a folder")):
        with pytest.raises(click.UsageError, match=says):
            require_object(ObjectUrl.parse(text))
