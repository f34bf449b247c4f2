"""Listings in S3's way, against a model of them."""

from __future__ import annotations

import itertools
from urllib.parse import unquote

import pytest

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.listing import decode_token, encode_token
from tests.gateway.s3.conftest import S3Bucket, code

NAMES = ("a", "b/1", "b/2/x", "b-/1", "b0", "c/d/e", "c/d/f", "train-x", "train/1", "é/ü +&.txt")


@pytest.fixture
def listed(s3: S3Bucket) -> S3Bucket:
    """Return a bucket with NAMES; most are files that another program has put there."""
    for name in NAMES:
        path = s3.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    assert s3.send("PUT", "b0", b"recorded").status_code == 200
    return s3


def model(prefix: str, delimiter: str, after: str = "") -> list[str]:
    """Return keys and groups as S3's documentation defines them."""
    found = list[str]()
    for name in sorted(NAMES):
        if not name.startswith(prefix) or name <= after:
            continue
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        item = name if end < 0 else name[: end + len(delimiter)]
        if item not in found and item != after:
            found.append(item)
    return found


def items(s3: S3Bucket, **query: object) -> list[str]:
    """Return keys and groups of a listing, in one order."""
    fields = "&".join(f"{name.replace('_', '-')}={value}" for name, value in query.items())
    response = s3.send("GET", query=f"?{fields}")
    groups = [name for name in s3.texts(response, "Prefix")[1:] if name]
    return sorted(s3.texts(response, "Key") + groups)


@pytest.mark.parametrize("prefix", ["", "b", "b/", "b/2", "train", "nope", "c/d/", "..", "x//"])
@pytest.mark.parametrize("delimiter", ["", "/", "d", "/2"])
def test_prefixes_and_delimiters(listed: S3Bucket, prefix: str, delimiter: str) -> None:
    """A prefix is text: "train" finds train-x and train/1. Any text delimits."""
    query = {"list_type": 2, "prefix": prefix, "delimiter": delimiter}
    assert items(listed, **query) == sorted(model(prefix, delimiter))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("form", ["v1", "v2", "versions"])
def test_pages_make_the_whole(listed: S3Bucket, form: str, delimiter: str, size: int) -> None:
    """In each of the three forms no name is lost or repeated between pages."""
    first, marker, next_marker = {
        "v1": ("", "marker", "NextMarker"),
        "v2": ("list-type=2", "continuation-token", "NextContinuationToken"),
        "versions": ("versions", "key-marker", "NextKeyMarker"),
    }[form]
    found, after = list[str](), ""
    for _ in range(len(NAMES) + 1):
        query = f"?{first}&max-keys={size}&delimiter={delimiter}&{marker}={after}"
        response = listed.send("GET", query=query)
        page = listed.texts(response, "Key") + listed.texts(response, "Prefix")[1:]
        assert len(page) <= size
        found += sorted(page)
        if listed.texts(response, "IsTruncated") == ["false"]:
            break
        (after,) = listed.texts(response, next_marker)
    assert found == model("", delimiter)


@pytest.mark.parametrize("after", ["", "a", "b/", "b/1", "b/zzz", "c/d/e", "zzzz"])
def test_start_after(listed: S3Bucket, after: str) -> None:
    """Names after a text, whether or not it is a name."""
    assert items(listed, list_type=2, start_after=after) == model("", "", after)
    assert items(listed, marker=after) == model("", "", after)


@pytest.mark.parametrize("prefix", ["b/", "c/d/"])
def test_starting_after_the_prefix_itself(listed: S3Bucket, prefix: str) -> None:
    """As clients do to pass over the object that marks a folder on S3."""
    query = {"list_type": 2, "prefix": prefix, "delimiter": "/", "start_after": prefix}
    assert items(listed, **query) == model(prefix, "/") != []


def test_a_group_that_ends_a_page_is_not_listed_again(listed: S3Bucket) -> None:
    """Also if the client names it as the marker itself."""
    assert items(listed, delimiter="/", marker="b/") == sorted(model("", "/", "b/")[0:])
    assert "b/" not in items(listed, delimiter="/", marker="b/")


def test_what_an_entry_says(listed: S3Bucket) -> None:
    """The ETag is that of HEAD, or empty where no checksum is on record yet."""
    response = listed.send("GET", query="?list-type=2&prefix=b0&fetch-owner=true")
    assert listed.texts(response, "Size") == ["8"]
    head = listed.send("HEAD", "b0").headers
    assert listed.texts(response, "ETag") == [head["ETag"]]
    assert listed.texts(response, "ID") == ["1"]
    assert listed.texts(listed.send("GET", query="?prefix=b/1"), "ETag") == [""]


def test_names_can_be_encoded(listed: S3Bucket) -> None:
    """For clients whose XML cannot hold every character."""
    (listed.folder / "\x01\n").write_bytes(b"")
    response = listed.send("GET", query="?encoding-type=url")
    names = listed.texts(response, "Key")
    assert sorted(map(unquote, names)) == sorted([*NAMES, "\x01\n"])
    assert "%C3%A9/%C3%BC%20%2B%26.txt" in names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?max-keys=x", "InvalidArgument"),
        ("?max-keys=-1", "InvalidArgument"),
        ("?list-type=3", "InvalidArgument"),
        ("?encoding-type=gzip", "InvalidArgument"),
        ("?list-type=2&continuation-token=!", "InvalidArgument"),
        ("?prefix=%00", "InvalidArgument"),
    ],
)
def test_malformed_queries(s3: S3Bucket, query: str, expected: str) -> None:
    """They are not taken for something else."""
    assert code(s3.send("GET", query=query)) == (400, expected)


def test_no_more_than_1000_and_none_at_all(s3: S3Bucket) -> None:
    """S3's limit; 0 is an empty page that is not truncated."""
    for number in range(1001):
        (s3.folder / f"{number:04}").touch()
    response = s3.send("GET", query="?list-type=2&max-keys=5000")
    assert len(s3.texts(response, "Key")) == 1000
    assert s3.texts(response, "IsTruncated") == ["true"]
    response = s3.send("GET", query="?list-type=2&max-keys=0")
    assert s3.texts(response, "Key") == []
    assert s3.texts(response, "IsTruncated") == ["false"]


def test_tokens() -> None:
    """Any name in text that needs no escapes."""
    for name in ("a", "é/ü +&", "x" * 1000):
        token = encode_token(name)
        assert token.isascii()
        assert decode_token(token) == name
    for token in ("!", "====", "//8="):
        with pytest.raises(Refusal):
            decode_token(token)


def test_deep_groups_cost_no_walk(s3: S3Bucket) -> None:
    """A group is passed over as a whole: its other files are not listed."""
    for group, name in itertools.product("ab", range(50)):
        path = s3.folder / group / f"{name}"
        path.mkdir(parents=True)
        (path / "file").touch()
    assert items(s3, list_type=2, delimiter="/", max_keys=2) == ["a/", "b/"]
