"""Get-batch: what is asked for, and what of the answer is believed."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from aisio.errors import ConfigError, IntegrityError, UrlError
from aisio.formats.tar import END, TarMember, TarParser
from aisio.urls import ObjectUrl
from aisio.wire.batch import (
    BatchEntry,
    BatchMatcher,
    BatchOutcome,
    batch_message,
    batch_path,
    batch_query,
    member_name,
    parse_batch_metadata,
)
from tests.tars import pack


def entry(url: str, **fields: Any) -> BatchEntry:
    """Return an entry for the object at a URL."""
    return BatchEntry(ObjectUrl.parse(url), **fields)


ABC = [entry(f"ais://b/{name}") for name in "abc"]


def metadata(*rows: dict[str, Any]) -> bytes:
    """Return the metadata of a multipart reply."""
    return json.dumps({"uuid": "gbt-1", "out": list(rows) or None}).encode()


def test_entries_of_one_bucket_leave_it_to_the_path():
    """The path names the bucket and the query its provider and namespace; entries hold neither."""
    entries = [entry("s3://@u#n/b/x y"), entry("aws://@u#n/b/z")]
    assert batch_path(entries) == "/v1/ml/moss/b"
    assert batch_query(entries, colocation=1) == {
        "provider": "aws",
        "namespace": "@u#n",
        "coloc": "1",
    }
    assert batch_message(entries, colocation=1) == {
        "mime": ".tar",
        "in": [{"objname": "x y"}, {"objname": "z"}],
        "coer": True,
        "onob": False,
        "strm": True,
        "coloc": 1,
    }


def test_entries_of_several_buckets_say_which():
    """Without a common bucket each entry has its own, by the canonical provider."""
    entries = [entry("ais://b/x"), entry("gs://c/x")]
    assert (batch_path(entries), batch_query(entries)) == ("/v1/ml/moss", {})
    assert batch_message(entries)["in"] == [
        {"objname": "x", "bucket": "b", "provider": "ais"},
        {"objname": "x", "bucket": "c", "provider": "gcp"},
    ]


def test_buckets_of_a_namespace_are_not_mixed_with_others():
    """An entry has no field for a namespace: the server would read another bucket of that name."""
    with pytest.raises(ConfigError, match=r"ais://#n/b has a namespace.*bucket by bucket"):
        batch_message([entry("ais://b/x"), entry("ais://#n/b/x")])


def test_entry_says_what_part_and_whose():
    """Archpath without a leading slash, range and opaque bytes, in plain base64."""
    asked = entry("ais://b/s.tar", archpath="/in/a", start=3, length=4, opaque=b"\xff\xfe\xfb")
    assert batch_message([asked])["in"] == [
        {"objname": "s.tar", "archpath": "in/a", "start": 3, "length": 4, "opaque": "//77"}
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"start": 5}, "start=5, length=0"),
        ({"start": -1, "length": 2}, "start=-1"),
        ({"start": 0.5, "length": 2}, "start=0.5"),
        ({"length": 1 << 63}, "length=9223372036854775808"),
        ({"length": -1}, "length=-1"),
        ({"archpath": "in/"}, "names a folder"),
    ],
)
def test_entry_refuses_what_the_server_would_misread(fields, text):
    """No open-ended range (a node may send the whole object instead), no folder."""
    with pytest.raises(ConfigError, match=text):
        entry("ais://b/x", **fields)


def test_entry_is_about_an_object():
    """A bucket or prefix is refused at once; an entry pickles."""
    with pytest.raises(UrlError, match="names no object"):
        entry("ais://b/folder/")
    assert pickle.loads(pickle.dumps(ABC)) == ABC


def test_empty_batch_and_unknown_form_are_refused():
    """The error is raised before a request is made."""
    with pytest.raises(ConfigError, match="no entries"):
        batch_path([])
    with pytest.raises(ConfigError, match="no entries"):
        batch_message([])
    with pytest.raises(ConfigError, match=r"mime='.rar'.*\.tar\.lz4"):
        batch_message(ABC, mime=".rar")


@pytest.mark.parametrize(
    ("asked", "full", "short"),
    [
        (entry("ais://b/x/y"), "b/x/y", "x/y"),
        (entry("ais://#n/b/s.tar", archpath="/in/a"), "b/s.tar/in/a", "s.tar/in/a"),
    ],
)
def test_member_name_is_bucket_object_and_archpath(asked, full, short):
    """Provider and namespace are not part of it."""
    assert member_name(asked) == full
    assert member_name(asked, only_object_name=True) == short


def test_members_in_order_match_their_entries():
    """The members of an archive are matched one by one."""
    matcher = BatchMatcher(ABC)
    parser = TarParser()
    parser.feed(pack(("b/a", b"1"), ("b/b", b""), ("__404__/b/c", b"")))
    parser.finish()
    matches = []
    while (event := parser.next_event()) is not END:
        if isinstance(event, TarMember):
            matches.append(matcher.match(event.name, event.size_bytes))
    assert matches == [(0, True), (1, True), (2, False)]
    assert (matcher.answered, list(matcher.unanswered), matcher.not_found) == (3, [], [2])


def test_members_that_did_not_come_are_named():
    """If an archive ends early, the rest is unanswered, although the archive looks complete."""
    matcher = BatchMatcher(ABC)
    matcher.match("b/a", 1)
    assert list(matcher.unanswered) == [1, 2]


@pytest.mark.parametrize("name", ["b/c", "a", "other/a", "b/a/", "__404__/b/c", "__404__/a", ""])
def test_wrong_member_is_an_integrity_error(name):
    """A member that is missing, changed or of another bucket is not taken for the next one."""
    with pytest.raises(IntegrityError, match=rf"ais://b/a: member 0 .*is '{name}', 'b/a' was") as e:
        BatchMatcher(ABC).match(name, 0)
    assert e.value.url == "ais://b/a"


def test_member_too_many_is_an_integrity_error():
    """There is one member for each entry, and no more."""
    matcher = BatchMatcher(ABC[:1])
    matcher.match("b/a", 1)
    with pytest.raises(IntegrityError, match=r"'b/a' came after all 1"):
        matcher.match("b/a", 1)


def test_an_object_that_is_requested_twice_is_answered_twice():
    """Entries are distinguished by their position, not by their name."""
    matcher = BatchMatcher([ABC[0], ABC[0]])
    assert [matcher.match("b/a", 1).entry_index for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("name", ["__404__/b/s.tar", "__404__/b/s.tar/in/a"])
def test_missing_shard_is_known_with_and_without_archpath(name):
    """The target that assembles the batch names its own missing shard only; others add the path."""
    matcher = BatchMatcher([entry("ais://b/s.tar", archpath="in/a")])
    assert matcher.match(name, 0) == (0, False)


def test_placeholder_by_object_name_alone():
    """With only_object_name the placeholder has no bucket either."""
    matcher = BatchMatcher(ABC, only_object_name=True)
    assert [matcher.match("__404__/a", 0), matcher.match("b", 4)] == [(0, False), (1, True)]


def test_bucket_that_is_called_like_the_placeholder_is_itself():
    """A name that equals the entry's is not read as a placeholder."""
    matcher = BatchMatcher([entry("ais://__404__/x"), entry("ais://__404__/x")])
    assert matcher.match("__404__/x", 0).is_found
    assert not matcher.match("__404__/__404__/x", 0).is_found


def test_placeholder_with_bytes_is_refused():
    """A placeholder has no content."""
    with pytest.raises(IntegrityError, match="missing object and yet has 3 bytes"):
        BatchMatcher(ABC).match("__404__/b/a", 3)


@pytest.mark.parametrize("size_bytes", [2, 9])
def test_range_of_another_length_is_refused(size_bytes):
    """A target that falls back on a copy elsewhere sends the whole object instead of the range."""
    matcher = BatchMatcher([entry("ais://b/a", start=5, length=4)])
    with pytest.raises(IntegrityError, match=f"has {size_bytes} bytes, the range of 4 from 5"):
        matcher.match("b/a", size_bytes)
    assert matcher.match("b/a", 4).is_found


def test_metadata_is_read_in_both_spellings():
    """A target that sends to another one joins object and archpath, and may omit the provider."""
    entries = [entry("ais://b/s.tar", archpath="in/a", opaque=b"\xff\xfe\xfb")] * 2
    body = metadata(
        {"objname": "s.tar/in/a", "bucket": "b", "provider": "", "size": 5, "opaque": "//77"},
        {"objname": "s.tar", "archpath": "in/a", "bucket": "b", "err_msg": "gone", "size": 0},
    )
    assert parse_batch_metadata(body, entries) == (
        BatchOutcome(5, "", b"\xff\xfe\xfb"),
        BatchOutcome(0, "gone", b""),
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'{"out":[{"size":1}]}', "cannot be read"),
        (metadata(), "has 0 entries, 1 were"),
        (metadata({"objname": "z", "bucket": "b"}), "entry 0 is about b/'z', 'b/a' was"),
        (metadata({"objname": "a", "bucket": "c"}), "entry 0 is about c/'a', 'b/a' was"),
    ],
)
def test_metadata_about_something_else_is_refused(body, text):
    """Junk, another count, another object or bucket: each an IntegrityError."""
    with pytest.raises(IntegrityError, match=text):
        parse_batch_metadata(body, ABC[:1])


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (BatchOutcome(7, "", b""), "has 5 bytes, its metadata says: 7 bytes"),
        (BatchOutcome(5, "disk on fire", b""), "its metadata says: disk on fire"),
    ],
)
def test_member_that_its_metadata_contradicts_is_refused(outcome, text):
    """The members must have the sizes and errors of the metadata."""
    with pytest.raises(IntegrityError, match=text):
        BatchMatcher(ABC[:1], outcomes=[outcome]).match("b/a", 5)
    assert BatchMatcher(ABC[:1], outcomes=[BatchOutcome(5, "", b"")]).match("b/a", 5).is_found
    assert not BatchMatcher(ABC[:1], outcomes=[outcome]).match("__404__/b/a", 0).is_found
