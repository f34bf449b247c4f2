"""What a URL stands for: one look at the name decides, where any is needed."""

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
    """A bucket that notes what it is asked; names come in order, as from any store."""

    def __init__(self, *names, may_head=True):
        self.names = sorted(names)
        self.may_head = may_head
        self.asked = []

    def list(self, prefix, *, start_after=""):
        self.asked.append(f"list {prefix.name}")
        found = [name for name in self.names if name.startswith(prefix.name)]
        return (ObjectInfo(prefix.root, name, 0 if name.endswith("/") else 1) for name in found)

    def head(self, url):
        self.asked.append(f"head {url.name}")
        if not self.may_head:
            raise AccessError(str(url))
        if url.name not in self.names:
            raise NotFoundError(str(url))
        return ObjectInfo(url.root, url.name, 1)


NAMES = ["a/1", "a/2", "a*", "b[1].jpg", "b1.jpg", "c{0}"]
IMAGES = [*NAMES, "img1", "img10", "tr/1", "trial", "x*/1"]


def names_of(text, *given, **options):
    """Return what a URL of a bucket stands for, and what the bucket was asked."""
    bucket = Bucket(*(given or IMAGES), **options)
    one = url_source(bucket, ObjectUrl.parse(f"ais://b/{text}"))
    return [info.name for info in one.list()], bucket.asked


@pytest.mark.parametrize(
    ("text", "names", "asked"),
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
def test_a_url_is_an_object_a_prefix_or_a_pattern(text, names, asked):
    """One look at the name decides; a folder, and names made by braces, need none."""
    assert names_of(text) == (names, asked)


def test_a_pattern_that_matches_nothing_is_the_text_itself():
    """A folder whose name has brackets was listed before there were patterns."""
    assert names_of("d[1]/", "d[1]/a", "d[1]/b")[0] == ["d[1]/a", "d[1]/b"]
    assert names_of("d[1]/", "d[1]/a", "d1/b")[0] == ["d1/b"]


def test_an_object_that_is_named_like_a_pattern_is_told(caplog):
    """A shell may have made it, and it hides what the pattern was to match."""
    assert names_of("*.tar", "*.tar", "a.tar")[0] == ["*.tar"]
    assert "ais://b/*.tar is read as the object of this name" in caplog.text
    assert names_of("*.ta[r]", "*.tar", "a.tar")[0] == ["*.tar", "a.tar"]


def test_who_may_only_list_gets_the_same():
    """The shortest name comes first in a listing: the object itself."""
    assert names_of("img1", may_head=False) == (["img1"], ["head img1", "list img1"])
    assert names_of("img", may_head=False)[0] == ["img1", "img10"]


def test_the_markers_of_folders_are_no_objects():
    """Consoles of clouds make an empty object whose name ends in "/" for each folder."""
    assert names_of("a/", "a/", "a/1", "a/b/")[0] == ["a/1"]


def test_an_object_on_a_web_server_needs_no_look():
    """There is no listing, so it cannot be a prefix."""
    bucket = Bucket()
    one = url_source(bucket, ObjectUrl.parse("https://host/t-{0..1}*.tar"))
    assert [info.url for info in one.list()] == ["https://host/t-0*.tar", "https://host/t-1*.tar"]
    one = url_source(bucket, ObjectUrl.parse("https://host/a.tar"))
    assert [info.url for info in one.list()] == ["https://host/a.tar"]
    assert bucket.asked == []


@pytest.mark.parametrize("text", ["t-{000..", "t-{0..99999999999999999999}", "**.tar"])
def test_braces_and_wildcards_that_cannot_be_meant(text):
    """An error when the source is made."""
    with pytest.raises(UrlError):
        url_source(LocalStore(), ObjectUrl.parse(f"ais://b/{text}"))


def test_a_url_source_pickles_and_has_a_folder():
    """That of its fixed beginning."""
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
    """In its own order, with what it has twice."""
    urls = [f"ais://b/{name}" for name in ("img1", "b/img1", "img10", "img1")]
    one = source(urls, client=Client("http://127.0.0.1:9"))
    assert [info.name for info in one.select(text)] == names


def test_what_braces_make_and_nobody_has_is_an_error():
    """A misspelt alternative is a part of the data that would be missing without a word."""
    for text in ("{a,vall}/", "{a,vall}/*", "{a/1,vall/}"):
        with pytest.raises(NotFoundError, match="vall/"):
            names_of(text)
    one = url_source(Bucket(*IMAGES), ObjectUrl.parse("ais://b/{a,vall}/"))
    assert [info.name for info in one.select(allow_empty=True)] == ["a/1", "a/2"]
    assert [info.name for info in one.select("a/{1,x}", allow_empty=True)] == ["a/1"]


@pytest.mark.parametrize("text", ["img{1,7}", "{img,none/}*"])
def test_a_list_without_what_braces_make_is_an_error(text):
    """Objects of a list are not looked up, and what is not in it is not read later, either."""
    one = source(["ais://b/img1", "ais://b/img10"], client=Client("http://127.0.0.1:9"))
    with pytest.raises(NotFoundError, match="img7|none/"):
        list(one.select(text))
    assert next(one.select(text, allow_empty=True)).name == "img1"


def test_what_braces_make_outside_of_a_prefix_is_an_error():
    """A source of one folder has nothing of another one."""
    one = PrefixSource(Bucket(*IMAGES), ObjectUrl.parse("ais://b/a/"))
    with pytest.raises(NotFoundError, match="tr/1"):
        list(one.select("{a,tr}/1"))


def test_a_prefix_is_narrowed_without_listing_all_of_it():
    """One look at its own name, which could be an object, and then as for a bucket."""
    bucket = Bucket(*IMAGES)
    one = url_source(bucket, ObjectUrl.parse("ais://b/im"))
    assert [info.name for info in one.select("img10")] == ["img10"]
    assert [info.name for info in one.select("img1*")] == ["img1", "img10"]
    assert bucket.asked == ["head im", "head img10", "head im", "head img1*", "list img1"]
    one = url_source(Bucket(*IMAGES), ObjectUrl.parse("ais://b/img1"))
    assert list(one.select("img10")) == []
