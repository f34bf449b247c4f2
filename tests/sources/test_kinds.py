"""Kinds of sources: templates, and the folder that names are relative to."""

from __future__ import annotations

import pickle

import pytest

from aisio.client.client import Client
from aisio.errors import NotFoundError, UrlError
from aisio.sources.kinds import TemplateSource
from aisio.sources.resolve import source
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl


def template(text):
    """Return the source of a template of local files."""
    return TemplateSource(LocalStore(), ObjectUrl.parse(text))


def test_a_template_makes_names_of_any_store(tmp_path):
    """The objects are those of the template, in its order; they are looked up when read."""
    (tmp_path / "s-08").write_bytes(b"eight")
    one = template(f"file://{tmp_path}/s-{{07..09}}")
    infos = list(one.list())
    assert [info.url for info in infos] == [f"file://{tmp_path}/s-{n:02d}" for n in (7, 8, 9)]
    assert one.read(infos[1]) == b"eight"
    with pytest.raises(NotFoundError, match="s-07"):
        one.read(infos[0])


def test_a_template_is_narrowed_by_a_prefix():
    """By the beginning of the whole name."""
    one = template("file:///d/{0..1}/s-@2")
    assert [info.name for info in one.list("d/1/")] == ["d/1/s-@2"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file:///d/plain", "has no range"),
        ("file:///d/{0..3}/", "names no object"),
        ("file:///d/s-%06d", "has no end"),
    ],
)
def test_a_template_that_names_no_objects_is_refused(text, match):
    """The error is raised when the source is made."""
    with pytest.raises(UrlError, match=match):
        template(text)


def test_a_template_pickles():
    """A source goes to a worker."""
    one = template("file:///d/s-{0..3}")
    again = pickle.loads(pickle.dumps(one))
    assert repr(again) == "TemplateSource('file:///d/s-{0..3}', 4 objects)"
    assert list(again.list()) == list(one.list())


def test_names_are_relative_to_the_folder_of_a_source():
    """A prefix up to its last "/", or the text before a template's first range; URLs have none.

    The digest of a listing, and `aisio get`, use these names.
    """
    bucket = Client("http://127.0.0.1:9").bucket("b")
    assert source(bucket).base_url == "ais://b/"
    assert source(bucket.objects(["a"])).base_url == "ais://b/"
    assert source("file:///d/tr").base_url == "file:///d/"
    assert template("file:///d/e/s-{0..3}.tar").base_url == "file:///d/e/"
    assert source(["file:///d/a"]).base_url == ""


def test_indexes_of_shards_are_left_out(tmp_path):
    """They stand beside the data, and are found by those who ask for them."""
    for name in (".aisio-index", "a.tar", "a.tar.aisio-index", "b/.aisio-index", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    base = f"file://{tmp_path}/"
    assert [info.url.removeprefix(base) for info in source(base).list()] == ["a.tar", "b/1.jpg"]
    assert [info.url.removeprefix(base) for info in source(f"{base}a").list()] == ["a.tar"]
    for name in (".aisio-index", "a.tar.aisio-index"):
        assert [info.url for info in source(f"{base}{name}").list()] == [f"{base}{name}"]
