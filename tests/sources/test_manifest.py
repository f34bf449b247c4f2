"""Manifests: which lines name objects, and the errors for lines that do not."""

from __future__ import annotations

import pickle
import sys

import pytest

from aisio.errors import ConfigError, NotFoundError, UrlError
from aisio.sources.manifest import ManifestSource, parse_manifest
from aisio.sources.manifest_parsers import imagenet_manifest_parser
from aisio.stores import LocalStore, store_for
from aisio.urls import ObjectUrl

URL = ObjectUrl.parse("ais://b/lists/train.tsv")
BASE = ObjectUrl.parse("ais://b/lists/")


def parse(data):
    """Return the URLs that a manifest lists."""
    return [str(url) for url in parse_manifest(data, URL, BASE)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two files and a manifest of them."""
    for name in ("a", "b c"):
        (tmp_path / name).write_bytes(name.encode())
    text = f"b c\t7\nfile://{tmp_path}/a\t8\nb c\n"
    (tmp_path / "list.tsv").write_text(text, "utf-8")
    return tmp_path


def manifest(folder, **more):
    """Return the source of the folder's manifest."""
    url = ObjectUrl.parse(f"file://{folder}/list.tsv")
    return ManifestSource(url, store_for, **more)


def test_names_are_relative_to_the_manifests_folder():
    """A line is a name below it, or the URL of any store."""
    assert parse(b"x/1.jpg\ns3://other/2.jpg\n") == ["ais://b/lists/x/1.jpg", "s3://other/2.jpg"]


def test_a_tab_ends_the_name():
    """One column, two or more; blanks within a name belong to it."""
    data = b"one\ntwo\tlabel\nthree\tlabel\tmore\nhas blanks.jpg\t3\n"
    names = ["one", "two", "three", "has blanks.jpg"]
    assert parse(data) == [f"ais://b/lists/{name}" for name in names]


def test_line_ends_blanks_comments_and_marks_do_not_count():
    """CRLF, empty and blank lines; a byte order mark is not a part of the first name."""
    assert parse(b"\xef\xbb\xbf# comment\r\n\r\n  \t\r\n a \r\n\n# x\nb") == [
        "ais://b/lists/a",
        "ais://b/lists/b",
    ]


def test_an_empty_manifest_lists_nothing():
    """As an empty folder does."""
    assert parse(b"") == parse(b"\n# none\n") == []


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b"../up", "'.' or '..'"),
        (b"/absolute", "'//'|begin with '/'"),
        (b"folder/", "names no object"),
        (b"nope://b/x", "unknown scheme"),
        (b"ais://b", "names no object"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_the_error_for_a_line_has_its_number(line, match):
    """Also the manifest and the reason."""
    with pytest.raises(UrlError, match=match) as caught:
        parse(b"# head\n\ngood\n" + line + b"\tlabel\n")
    assert str(caught.value).startswith("manifest ais://b/lists/train.tsv, line 4: ")
    assert caught.value.url == str(URL)


def test_objects_come_in_the_order_of_the_lines(folder):
    """As often as they are listed; names may have blanks."""
    one = manifest(folder)
    infos = list(one.list())
    assert [one.read(info) for info in infos] == [b"b c", b"a", b"b c"]
    assert list(one.list(f"{folder}/a"[1:])) == [infos[1]]
    assert one.base_url == f"file://{folder}/"


def test_a_base_of_its_own(folder):
    """It is put before the names without a "/" in between, as the OSS connector does."""
    one = manifest(folder, base=ObjectUrl.parse("s3://bkt/part-"))
    assert [info.url for info in one.list("part-")] == ["s3://bkt/part-b c"] * 2
    assert one.base_url == "s3://bkt/part-"


def test_the_manifest_is_read_once_and_late(folder):
    """Not when the source is made, and not again in workers."""

    class Counting(LocalStore):
        reads = 0

        def read(self, url, *, etl_name=None):
            Counting.reads += 1
            return super().read(url)

    url = ObjectUrl.parse(f"file://{folder}/list.tsv")
    one = ManifestSource(url, lambda url: Counting())
    assert Counting.reads == 0
    assert list(one.list()) == list(one.list())
    assert Counting.reads == 1
    same = manifest(folder)
    listed = list(same.list())
    (folder / "list.tsv").unlink()
    assert list(pickle.loads(pickle.dumps(same)).list()) == listed


def test_a_missing_manifest_shows_at_the_first_item(tmp_path):
    """Making the source sends no request."""
    one = manifest(tmp_path)
    with pytest.raises(NotFoundError, match=r"list\.tsv"):
        next(one.list())


def parsed_by(folder, parser, base=None):
    """Return (name below the folder, label) of what a parser finds in the folder's manifest."""
    one = manifest(folder, parser=parser, key_base=f"file://{folder}/" if base is None else base)
    return [(info.name.rpartition("/")[2], info.label) for info in one.list()]


def test_a_parser_of_the_caller_reads_another_form(folder):
    """It gets a binary file; what it yields is read in that order, and as often."""

    def parser(reader):
        assert reader.readline().startswith(b"b c\t7")
        return [("b c", "x"), ("a", ""), ("b c", "y")]

    assert parsed_by(folder, parser) == [("b c", "x"), ("a", ""), ("b c", "y")]


def test_keys_are_put_behind_the_base_literally(folder):
    """Also where that does not end a folder, or is nothing."""
    assert parsed_by(folder, lambda _: [("", "")][:0]) == []
    assert parsed_by(folder, lambda _: [(" c", "1")], f"file://{folder}/b") == [("b c", "1")]
    assert parsed_by(folder, lambda _: [(f"file://{folder}/a", "2")], "") == [("a", "2")]


@pytest.mark.parametrize(
    "pair",
    [None, "ab", ("a",), ("a", 7), ("a", None), ("", "7"), ("a", "7", "8"), ["a", "7"], (1, "")],
)
def test_a_parser_yields_pairs_of_texts(folder, pair):
    """The error says which entry is none, and what is needed."""
    with pytest.raises(
        ConfigError, match=r"list.tsv, entry 2: the parser yielded .*\(key, label\)"
    ):
        parsed_by(folder, lambda _: [("a", ""), pair])


def test_a_key_that_makes_no_url_of_an_object_is_refused(folder):
    """By its number."""
    with pytest.raises(UrlError, match="list.tsv, entry 2, key 'c/': .*names no object"):
        parsed_by(folder, lambda _: [("a", ""), ("c/", "")])
    with pytest.raises(UrlError, match="list.tsv, entry 1, key 'a': 'a' is not a URL"):
        parsed_by(folder, lambda _: [("a", "")], "")


def test_the_error_of_a_parser_keeps_its_type_and_names_the_manifest(folder):
    """Where it was raised: at the call, or at an entry."""

    def at_once(_):
        raise KeyError("x")

    def later(_):
        yield "a", ""
        raise KeyError("x")

    for parser, number in ((at_once, 0), (later, 1)):
        with pytest.raises(KeyError) as caught:
            parsed_by(folder, parser)
        if sys.version_info >= (3, 11):
            assert f"list.tsv raised this behind {number} entries" in caught.value.__notes__[0]


def test_an_error_of_the_tab_parser_names_the_manifest(folder):
    """And the line."""
    (folder / "list.tsv").write_bytes(b"\t7\n")
    with pytest.raises(UrlError, match=r"manifest file:///.*list.tsv: line 1: there is no key"):
        parsed_by(folder, imagenet_manifest_parser)
