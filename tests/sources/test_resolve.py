"""source(): what it understands, and which source it returns."""

from __future__ import annotations

import pickle

import pytest

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.sources.kinds import GroupSource, PrefixSource, UrlListSource
from aisio.sources.resolve import source
from tests.sources.files import TREE, names


def test_a_url_is_a_plain_prefix(folder):
    """AIS-01: a URL lists what begins with it, lazily and with sizes."""
    one = source(folder + "tr")
    infos = list(one.list())
    assert names(infos, folder) == ["train/0", "train/1", "trial"]
    assert [info.size_bytes for info in infos] == [7, 7, 5]
    assert one.read(infos[0]) == b"train/0"


def test_a_path_is_a_folder(folder, tmp_path):
    """A Path names the folder and all below it."""
    assert names(source(tmp_path).list(), folder) == TREE


def test_a_list_of_urls_keeps_its_order(folder):
    """The objects come in the order of the list; nothing is looked up."""
    one = source([folder + "val/0", folder + "absent", folder + "train/1"])
    assert isinstance(one, UrlListSource)
    assert names(one.list(), folder) == ["val/0", "absent", "train/1"]
    assert one.read(next(one.list())) == b"val/0"


def test_a_prefix_among_urls_is_refused(folder):
    """A list names objects; a folder in it would be read as an object that does not exist."""
    with pytest.raises(UrlError, match="names no object"):
        source([folder + "train/"])


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ("train/", "", ["train/0", "train/1"]),
        ("train/", "train/1", ["train/1"]),
        ("train/", "tr", ["train/0", "train/1"]),
        ("train/", "val", []),
    ],
)
def test_names_begin_with_both_prefixes(folder, tmp_path, own, given, expected):
    """A prefix of list() is relative to the bucket, and can only narrow the source."""
    base = str(tmp_path)[1:] + "/"
    assert names(source(folder + own).list(base + given), folder) == expected


def test_a_group_honours_the_prefix(client):
    """AIS-04: the official group ignored it."""
    group = client.bucket("b").objects(["a/1", "b/1", "a/2"])
    assert [info.name for info in source(group).list("a/")] == ["a/1", "a/2"]
    assert list(source(group).list_urls("b/")) == ["ais://b/b/1"]


def test_buckets_and_sources(client):
    """A bucket becomes a source; a source stays itself."""
    one = source(client.bucket("b"))
    assert isinstance(one, PrefixSource)
    assert source(one) is one


@pytest.mark.parametrize("what", [3, None, 2.5])
def test_other_things_are_no_source(what):
    """The error names the type."""
    with pytest.raises(ConfigError, match=type(what).__name__):
        source(what)


def test_sources_pickle(client, folder):
    """A source goes to a worker."""
    for what in (
        folder,
        client.bucket("b"),
        client.bucket("b").objects(template="s-{0..3}"),
        [folder + "trial"],
    ):
        one = source(what, client=client)
        again = pickle.loads(pickle.dumps(one))
        assert repr(again) == repr(one)
        if isinstance(one, (GroupSource, UrlListSource)):
            assert list(again.list()) == list(one.list())


def test_a_missing_folder_shows_at_the_first_item(folder):
    """source() sends no request."""
    one = source(folder + "absent/")
    with pytest.raises(NotFoundError):
        next(one.list())


@pytest.mark.parametrize("what", [[3], b"ais://b", [b"ais://b/a"]])
def test_lists_of_other_things_are_refused(what, client):
    """The error is a ConfigError that says what a list holds."""
    with pytest.raises(ConfigError):
        source(what, client=client)
    with pytest.raises(ConfigError, match="not a Bucket"):
        source([client.bucket("b")])


def test_a_path_is_itself_whatever_its_characters(tmp_path):
    """A folder, or one file; no character of a Path is a pattern."""
    odd = tmp_path / "a[1]{0..1}*"
    odd.mkdir()
    for name in ("x?", "xy"):
        (odd / name).write_bytes(b"")
    url = f"file://{odd}/"
    assert names(source(odd).list(), url) == ["x?", "xy"]
    assert names(source(odd / "x?").list(), url) == ["x?"]


@pytest.mark.parametrize("text", ["photos", "./photos/", "photos/train", "/data/photos"])
def test_the_error_for_a_local_path_as_text_says_how_to_pass_it(text):
    """A str is a URL or a name; a local folder is passed as a pathlib.Path."""
    with pytest.raises(UrlError, match=r"pathlib\.Path"):
        source(text)
    with pytest.raises(UrlError) as caught:
        source("ftp://host/x")
    assert "pathlib" not in str(caught.value)
