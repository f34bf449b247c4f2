"""UrlSource: a URL is an object, a prefix or a pattern; one HEAD at most decides."""

from __future__ import annotations

import pickle

import pytest

from aisio.client.client import Client
from aisio.errors import AccessError, NotFoundError, UrlError
from aisio.records import ObjectInfo
from aisio.sources.kinds import PrefixSource
from aisio.sources.resolve import source
from aisio.sources.url import UrlSource, url_source
from aisio.stores import LocalStore
from aisio.urls import ObjectUrl


class Bucket(LocalStore):
    """A bucket that records the calls; names come in order, as from any store."""

    def __init__(self, *names, may_head=True):
        self.names = sorted(names)
        self.may_head = may_head
        self.calls = []

    def list(self, prefix, *, start_after=""):
        self.calls.append(f"list {prefix.name}")
        names = [name for name in self.names if name.startswith(prefix.name)]
        return (ObjectInfo(prefix.root, name, 0 if name.endswith("/") else 1) for name in names)

    def head(self, url):
        self.calls.append(f"head {url.name}")
        if not self.may_head:
            raise AccessError(str(url))
        if url.name not in self.names:
            raise NotFoundError(str(url))
        return ObjectInfo(url.root, url.name, 1)


NAMES = ["a/1", "a/2", "a*", "b[1].jpg", "b1.jpg", "c{0}"]
IMAGES = [*NAMES, "img1", "img10", "tr/1", "trial", "x*/1"]


def names_of(text, *names, **options):
    """Return the objects that a URL of a bucket stands for, and the calls of the bucket."""
    bucket = Bucket(*(names or IMAGES), **options)
    one = url_source(bucket, ObjectUrl.parse(f"ais://b/{text}"))
    return [info.name for info in one.list()], bucket.calls


@pytest.mark.parametrize(
    ("text", "names", "calls"),
    [
        ("", sorted(IMAGES), ["list "]),
        ("a/", ["a/1", "a/2"], ["list a/"]),
        ("img1", ["img1"], ["head img1"]),
        ("img", ["img1", "img10"], ["head img", "list img"]),
        ("tr", ["tr/1", "trial"], ["head tr", "list tr"]),
        ("a*", ["a*"], ["head a*"]),
        ("a/*", ["a/1", "a/2"], ["head a/*", "list a/"]),
        ("a[*]", ["a*"], ["head a*"]),
        ("b[1].jpg", ["b[1].jpg"], ["head b[1].jpg"]),
        ("b?.jpg", ["b1.jpg"], ["head b?.jpg", "list b"]),
        ("x*/", ["x*/1"], ["list x"]),
        ("x[*]/", ["x*/1"], ["list x*/"]),
        ("i*[01]", ["img1", "img10"], ["head i*[01]", "list i"]),
        ("**/1", ["a/1", "tr/1", "x*/1"], ["head **/1", "list "]),
        ("c{0}", ["c{0}"], ["head c{0}"]),
        ("img{1..2}", ["img1", "img2"], []),
        ("{tr,a}/", ["tr/1", "a/1", "a/2"], ["list tr/", "list a/"]),
        ("{tr,img}*", ["trial", "img1", "img10"], ["head tr*", "list tr", "head img*", "list img"]),
        ("none", [], ["head none", "list none"]),
        ("none*", [], ["head none*", "list none", "list none*"]),
    ],
)  # fmt: skip
def test_a_url_is_an_object_a_prefix_or_a_pattern(text, names, calls):
    """One HEAD decides; a folder, and names made by braces, need none."""
    assert names_of(text) == (names, calls)


def test_a_pattern_that_matches_nothing_is_the_text_itself():
    """A folder whose name has brackets was listed before there were patterns."""
    assert names_of("d[1]/", "d[1]/a", "d[1]/b")[0] == ["d[1]/a", "d[1]/b"]
    assert names_of("d[1]/", "d[1]/a", "d1/b")[0] == ["d1/b"]


def test_a_warning_for_an_object_that_is_named_like_a_pattern(caplog):
    """A shell may have made it, and it hides what the pattern matches."""
    assert names_of("*.tar", "*.tar", "a.tar")[0] == ["*.tar"]
    assert "ais://b/*.tar is read as the object of this name" in caplog.text
    assert names_of("*.ta[r]", "*.tar", "a.tar")[0] == ["*.tar", "a.tar"]


def test_without_permission_for_head_the_listing_decides():
    """The object itself is the first of the listing, as the shortest name."""
    assert names_of("img1", may_head=False) == (["img1"], ["head img1", "list img1"])
    assert names_of("img", may_head=False)[0] == ["img1", "img10"]


def test_the_markers_of_folders_are_no_objects():
    """Consoles of clouds make an empty object whose name ends in "/" for each folder."""
    assert names_of("a/", "a/", "a/1", "a/b/")[0] == ["a/1"]


def test_an_object_on_a_web_server_is_not_looked_up():
    """A web server has no listing, so the URL cannot be a prefix."""
    bucket = Bucket()
    one = url_source(bucket, ObjectUrl.parse("https://host/t-{0..1}*.tar"))
    assert [info.url for info in one.list()] == ["https://host/t-0*.tar", "https://host/t-1*.tar"]
    one = url_source(bucket, ObjectUrl.parse("https://host/a.tar"))
    assert [info.url for info in one.list()] == ["https://host/a.tar"]
    assert bucket.calls == []


@pytest.mark.parametrize("text", ["t-{000..", "t-{0..99999999999999999999}", "**.tar"])
def test_braces_and_wildcards_that_are_not_valid(text):
    """The error is raised when the source is made."""
    with pytest.raises(UrlError):
        url_source(LocalStore(), ObjectUrl.parse(f"ais://b/{text}"))


def test_a_url_source_pickles_and_has_a_folder():
    """The folder is that of the text before the first wildcard."""
    one = pickle.loads(pickle.dumps(url_source(LocalStore(), ObjectUrl.parse("ais://b/d/t-*.tar"))))
    assert repr(one) == "UrlSource('ais://b/d/t-*.tar')"
    assert one.base_url == "ais://b/d/"
    assert isinstance(one, UrlSource)
    assert isinstance(url_source(LocalStore(), ObjectUrl.parse("ais://b/d/")), PrefixSource)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["img1", "b/img1", "img10", "img1"]),
        ("img1", ["img1", "img1"]),
        ("img", ["img1", "img10", "img1"]),
        ("*/i*", ["b/img1"]),
        ("img{10,1}", ["img10", "img1", "img1"]),
        ("none", []),
    ],
)
def test_a_list_is_narrowed_by_the_same_rule(text, names):
    """In its own order, and as often as the list has an object."""
    urls = [f"ais://b/{name}" for name in ("img1", "b/img1", "img10", "img1")]
    one = source(urls, client=Client("http://127.0.0.1:9"))
    assert [info.name for info in one.select(text)] == names


def test_an_expansion_of_braces_without_an_object_is_an_error():
    """A misspelt alternative would silently drop a part of the data."""
    for text in ("{a,vall}/", "{a,vall}/*", "{a/1,vall/}"):
        with pytest.raises(NotFoundError, match="vall/"):
            names_of(text)
    one = url_source(Bucket(*IMAGES), ObjectUrl.parse("ais://b/{a,vall}/"))
    assert [info.name for info in one.select(allow_empty=True)] == ["a/1", "a/2"]
    assert [info.name for info in one.select("a/{1,x}", allow_empty=True)] == ["a/1"]


@pytest.mark.parametrize("text", ["img{1,7}", "{img,none/}*"])
def test_an_expansion_of_braces_that_a_list_does_not_have_is_an_error(text):
    """Objects that are not in the list would not be read later either."""
    one = source(["ais://b/img1", "ais://b/img10"], client=Client("http://127.0.0.1:9"))
    with pytest.raises(NotFoundError, match="img7|none/"):
        list(one.select(text))
    assert next(one.select(text, allow_empty=True)).name == "img1"


def test_an_expansion_of_braces_outside_of_a_prefix_is_an_error():
    """The source of one folder has no object of another."""
    one = PrefixSource(Bucket(*IMAGES), ObjectUrl.parse("ais://b/a/"))
    with pytest.raises(NotFoundError, match="tr/1"):
        list(one.select("{a,tr}/1"))


def test_a_prefix_is_narrowed_without_listing_all_of_it():
    """A HEAD of its own name, which may be an object, and then as for a bucket."""
    bucket = Bucket(*IMAGES)
    one = url_source(bucket, ObjectUrl.parse("ais://b/im"))
    assert [info.name for info in one.select("img10")] == ["img10"]
    assert [info.name for info in one.select("img1*")] == ["img1", "img10"]
    assert bucket.calls == ["head im", "head img10", "head im", "head img1*", "list img1"]
    one = url_source(Bucket(*IMAGES), ObjectUrl.parse("ais://b/img1"))
    assert list(one.select("img10")) == []
