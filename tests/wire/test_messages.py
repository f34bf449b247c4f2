"""AIStore's requests and replies, as bytes and dicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from aisio import errors
from aisio.errors import IntegrityError, UrlError
from aisio.records import Checksum, ObjectInfo
from aisio.urls import Namespace, ObjectUrl
from aisio.wire import messages
from aisio.wire.http1 import ResponseHeaders

OBJECT = ObjectUrl.parse("ais://b/o")
JSON = "application/json; charset=utf-8"
names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: not name.startswith("~/") and {".", ".."}.isdisjoint(name.split("/")))


def test_paths_are_percent_encoded_once() -> None:
    """Slashes of a name stay; other characters that a path cannot hold are quoted."""
    url = ObjectUrl.parse("ais://b/d/a ?#%25ü")
    assert messages.object_path(url) == "/v1/objects/b/d/a%20%3F%23%2525%C3%BC"
    assert messages.bucket_path("b.c-d") == "/v1/buckets/b.c-d"


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("ais://b", {"provider": "ais"}),
        ("s3://b/o", {"provider": "aws"}),
        ("ais://@c#n/b", {"provider": "ais", "namespace": "@c#n"}),
        ("ais://#n/b", {"provider": "ais", "namespace": "@#n"}),
        ("ais://@c/b", {"provider": "ais", "namespace": "@c#"}),
    ],
)
def test_every_request_names_provider_and_namespace(url: str, query: dict[str, str]) -> None:
    """The canonical provider, and both marks of a namespace."""
    assert messages.bucket_query(ObjectUrl.parse(url)) == query


def test_the_query_may_be_added_to() -> None:
    """In a dict of its own: all requests about a bucket share one that cannot be changed."""
    query = messages.bucket_query(OBJECT)
    assert query | {"etl_name": "x"} == {"provider": "ais", "etl_name": "x"}
    with pytest.raises(TypeError):
        query["etl_name"] = "x"  # type: ignore[index]
    assert messages.bucket_query(OBJECT) == {"provider": "ais"}


def test_an_action_has_all_three_keys() -> None:
    """As the official client sends it."""
    assert messages.action("create-bck") == {"action": "create-bck", "name": "", "value": None}


@given(
    name=names,
    namespace=st.sampled_from(
        [Namespace(), Namespace("c"), Namespace("", "n"), Namespace("c", "n")]
    ),
    provider=st.sampled_from(["ais", "aws", "gcp"]),
    etl_name=st.none() | st.text("ab&=? ", min_size=1),
)
def test_an_http_url_says_what_it_was_made_of(
    name: str, namespace: Namespace, provider: str, etl_name: str | None
) -> None:
    """`list_urls` yields them, and the datapipes parse them."""
    url = ObjectUrl(provider, "b", name, namespace)
    text = messages.object_http_url("http://h:8080", url, etl_name)
    assert messages.parse_object_http_url(text) == ("http://h:8080", url, etl_name)


@pytest.mark.parametrize(
    "text",
    [
        "http://h/x",
        "http://h/v1/objects/b",
        "http://h/v1/objects/b/",
        "http://h/v1/buckets/b/o",
        "http://h/",
        "http://h:99999/v1/objects/b/o",
    ],
)
def test_another_http_url_is_refused(text: str) -> None:
    """The error says what was expected."""
    with pytest.raises(UrlError, match="/v1/objects/bucket/name"):
        messages.parse_object_http_url(text)


def test_an_http_url_with_a_password_is_refused_and_not_shown() -> None:
    """The URL is the name of each object that is read from it."""
    with pytest.raises(UrlError, match="AIS_AUTHN_TOKEN") as caught:
        messages.parse_object_http_url("http://me:s3cret@h:8080/v1/objects/b/o")
    assert "s3cret" not in str(caught.value)


def test_a_broken_http_url_is_none_of_an_object() -> None:
    """An incomplete IPv6 address does not raise an error of urllib."""
    broken = "http://[::1/v1/objects/b/o"
    assert not messages.is_object_http_url(broken)
    with pytest.raises(UrlError, match="is not a URL"):
        messages.parse_object_http_url(broken)


Kind = Callable[[list[tuple[str, str]]], Mapping[str, str]]

BOTH_KINDS = pytest.mark.parametrize("kind", [ResponseHeaders, HTTPHeaderDict])


@BOTH_KINDS
def test_object_headers_say_all_of_the_object(kind: Kind) -> None:
    """As a live cluster sent them."""
    headers = {
        "Ais-Atime": "1795214298820090003",
        "Ais-Checksum-Type": "xxhash2",
        "Ais-Checksum-Value": "26c7827d889f6da3",
        "Ais-Version": "1",
        "ETag": '"abc"',
        "Content-Length": "5",
    }
    custom = [("Ais-Custom-Md", "k=v, w"), ("Ais-Custom-Md", "x=y=z")]
    assert messages.parse_object_headers(kind([*headers.items(), *custom]), OBJECT) == ObjectInfo(
        "ais://b",
        "o",
        5,
        Checksum("xxhash2", "26c7827d889f6da3"),
        "1",
        "abc",
        1795214298.82009,
        {"k": "v, w", "x": "y=z"},
    )


@BOTH_KINDS
def test_the_size_of_a_range_is_the_whole_objects(kind: Kind) -> None:
    """Content-Length is the size of the range; Content-Range has that of the object."""
    headers = kind([("Content-Range", "bytes 5-9/100"), ("Content-Length", "5")])
    assert messages.parse_object_headers(headers, OBJECT).size_bytes == 100


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Length": "many", "Ais-Atime": "soon"},
        {"Content-Range": "bytes 0-4/*", "Content-Length": "5"},
        {"Ais-Checksum-Type": "none", "Ais-Checksum-Value": ""},
        {"Content-Length": "\u00b2", "Ais-Atime": "\u00b2"},
        {"Content-Range": "bytes 0-4/" + "9" * 5000, "Ais-Atime": "9" * 400},
        {"Content-Length": "9223372036854775808"},
    ],
    ids=str,
)
@BOTH_KINDS
def test_headers_that_say_nothing_are_unknown(headers: dict[str, str], kind: Kind) -> None:
    """Missing headers give empty values, and invalid ones are ignored."""
    told = kind([*headers.items()])
    assert messages.parse_object_headers(told, OBJECT) == ObjectInfo("ais://b", "o")


@pytest.mark.parametrize(
    ("text", "custom"),
    [
        ("", {}),
        ("[]", {}),
        ("[k:two\nlines more:]", {"k": "two\nlines", "more": ""}),
        ("[k:Grüße 日本:語]", {"k": "Grüße", "日本": "語"}),
        ("[source:aws ETag:x]", {"source": "aws", "ETag": "x"}),
        (
            "[Last-Modified:Mon, 02 Jan 2006 15:04:05 GMT k:v]",
            {"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "k": "v"},
        ),
    ],
)
def test_custom_metadata_of_a_listing_is_cut_at_keys(text: str, custom: dict[str, str]) -> None:
    """Pairs are separated by blanks; values may hold blanks and line breaks."""
    assert messages.parse_custom(text) == custom


@BOTH_KINDS
def test_each_header_of_custom_metadata_is_one_pair(kind: Kind) -> None:
    """Any value, also in UTF-8, which HTTP libraries decode as Latin-1."""
    sent = ["k=Grüße".encode().decode("latin-1"), "a=1, b=2", "x=y=z", "empty=", "not UTF-8=\xe4"]
    told = kind([("Ais-Custom-Md", value) for value in sent])
    assert messages.parse_object_headers(told, OBJECT).custom == {
        **{"k": "Grüße", "a": "1, b=2", "x": "y=z", "empty": ""},
        "not UTF-8": "\xe4",
    }


def test_one_header_alone_is_one_pair() -> None:
    """A mapping without repeated headers has one value."""
    told = {"ais-custom-md": "k=v, w"}
    assert messages.parse_object_headers(told, OBJECT).custom == {"k": "v, w"}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes 0-9/100", (0, 10)),
        ("bytes 5-5/*", (5, 6)),
        (None, None),
        ("", None),
        ("bytes */100", None),
        ("lines 0-9/100", None),
        ("bytes a-b/c", None),
    ],
)
def test_the_ends_of_a_content_range(text: str | None, span: tuple[int, int] | None) -> None:
    """RFC 9110; the second is one past the last byte."""
    assert messages.parse_content_range(text) == span


def test_buckets_are_read_with_their_namespaces() -> None:
    """Each as the URL of a bucket."""
    rows = [
        {"name": "a", "provider": "ais", "namespace": {"uuid": "", "name": ""}},
        {"name": "b", "provider": "aws", "namespace": {"uuid": "c", "name": "n"}},
        {"name": "d"},
    ]
    urls = [str(url) for url in messages.parse_buckets(json.dumps(rows).encode())]
    assert urls == ["ais://a", "aws://@c#n/b", "ais://d"]
    assert list(messages.parse_buckets(b"null")) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": 1}', b'[{"provider": "ais"}]', b"5"])
def test_what_is_no_list_of_buckets_is_an_integrity_error(body: bytes) -> None:
    """The reply is not taken for that of an empty cluster."""
    with pytest.raises(IntegrityError, match="not a list of buckets"):
        list(messages.parse_buckets(body))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.StorageError),
        (401, errors.AccessError),
        (403, errors.AccessError),
        (404, errors.NotFoundError),
        (405, errors.StorageError),
        (409, errors.ConflictError),
        (416, errors.RangeError),
        (423, errors.ConflictError),
        (429, errors.ThrottledError),
        (500, errors.UnavailableError),
        (503, errors.UnavailableError),
        (507, errors.StorageError),
        (501, errors.StorageError),
    ],
)
def test_the_status_alone_chooses_the_class(status: int, kind: type[errors.StorageError]) -> None:
    """Texts change between releases and may be wrong; statuses do not."""
    text = json.dumps({"message": "does not exist, throttled, timeout", "status": 404})
    error = messages.error_for(status, text, operation="GET", url="ais://b/o", retry_after_s=3)
    assert type(error) is kind
    assert (error.status, error.url, error.retry_after_s) == (status, "ais://b/o", 3)
    assert str(error).startswith(f"GET ais://b/o: {status} does not exist, throttled")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, "ErrLmetaNotFound", errors.NotFoundError),
        (500, "ErrOther", errors.UnavailableError),
        (500, 7, errors.UnavailableError),
        (503, "ErrLmetaNotFound", errors.UnavailableError),
    ],
)
def test_a_folders_name_is_no_object(
    status: int, code: object, kind: type[errors.StorageError]
) -> None:
    """A live cluster does that; a retry would spend the whole budget."""
    text = json.dumps({"tcode": code, "message": "ais://b/o, err: no data available"})
    error = messages.error_for(status, text, operation="GET", url="ais://b/o")
    assert type(error) is kind
    assert str(error) == f"GET ais://b/o: {status} ais://b/o, err: no data available"


def test_an_object_where_a_folder_is_in_the_way() -> None:
    """A live cluster answers 400, and explains it by its code."""
    text = json.dumps({"tcode": "ErrMv", "message": "destination exists and is a folder"})
    error = messages.error_for(400, text, operation="PUT", url="ais://b/o")
    assert type(error) is errors.ConflictError
    assert type(messages.error_for(400, "{}", operation="PUT", url="u")) is errors.StorageError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "GET ais://b: 500"),
        ("plain\n text ", "GET ais://b: 500 plain text"),
        ('{"message": "why\\nso"}', "GET ais://b: 500 why so"),
        ('{"error": 1}', 'GET ais://b: 500 {"error": 1}'),
        ("x" * 1000, "GET ais://b: 500 " + "x" * 300),
    ],
)
def test_the_servers_reason_is_one_short_line(text: str, shown: str) -> None:
    """The message of the JSON if there is one, else the body."""
    assert str(messages.error_for(500, text, operation="GET", url="ais://b")) == shown


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("node signature verification failed", errors.UnavailableError),
        ("missing signature [smapVer 0 vs Smap v5]", errors.UnavailableError),
        ("cannot verify request: node p1 not present", errors.UnavailableError),
        ("sender p[x]: no verifying key", errors.UnavailableError),
        ("token signature is invalid: signature is invalid", errors.AccessError),
        ("token expired", errors.AccessError),
    ],
)
def test_a_signature_that_cannot_be_verified_yet_is_no_matter_of_tokens(
    text: str, kind: type[errors.StorageError]
) -> None:
    """The nodes of the cluster sign, not the client: a new redirect will be right."""
    error = messages.error_for(401, text, operation="GET", url="ais://b/o")
    assert type(error) is kind
    assert ("AIS_AUTHN_TOKEN" in str(error)) == (kind is errors.AccessError)


def test_plain_http_to_an_https_server_is_named() -> None:
    """A cluster's answer is a 400 without JSON."""
    text = "Client sent an HTTP request to an HTTPS server.\n"
    error = messages.error_for(400, text, operation="GET", url="ais://b")
    assert "must begin with https://" in str(error)


def test_an_error_says_what_to_do_next() -> None:
    """For the statuses that have a remedy."""
    error = messages.error_for(401, "", operation="GET", url="ais://b")
    assert "AIS_AUTHN_TOKEN" in str(error)
