"""AIStore's requests and replies, as bytes and dicts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisio import errors
from aisio.errors import IntegrityError, UrlError
from aisio.records import Checksum, ObjectInfo
from aisio.urls import Namespace, ObjectUrl
from aisio.wire import messages

OBJECT = ObjectUrl.parse("ais://b/o")
JSON = "application/json; charset=utf-8"
names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: not name.startswith("~/") and {".", ".."}.isdisjoint(name.split("/")))


def list_value(**wanted: Any) -> dict[str, Any]:
    """Return the value of a list message."""
    message = messages.list_message(**wanted)
    assert message["action"] == "list"
    value: dict[str, Any] = message["value"]
    return value


def test_paths_are_percent_encoded_once() -> None:
    """Slashes of a name stay; all else that a path cannot hold is quoted."""
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
    """It is made anew each time."""
    messages.bucket_query(OBJECT)["etl_name"] = "x"
    assert messages.bucket_query(OBJECT) == {"provider": "ais"}


def test_an_action_has_all_three_keys() -> None:
    """As the official client sends it."""
    assert messages.action("create-bck") == {"action": "create-bck", "name": "", "value": None}


@settings(deadline=None)
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
    """`list_urls` gives them, and the datapipes read them again."""
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
    ],
)
def test_another_http_url_is_refused(text: str) -> None:
    """The error says what was expected."""
    with pytest.raises(UrlError, match="/v1/objects/bucket/name"):
        messages.parse_object_http_url(text)


def test_flags_are_a_number_in_a_string() -> None:
    """AIStore's uint64; name and name,size have flags that spare the server work."""
    assert list_value(props="name")["flags"] == "16"
    assert list_value(props="name,size")["flags"] == "32"
    assert list_value(props="size,name")["flags"] == "32"
    assert list_value(props="name,size,checksum")["flags"] == "0"
    assert list_value(props="name", recursive=False)["flags"] == str(16 | 2048)


def test_start_after_is_for_the_first_page() -> None:
    """With a token the server would refuse it or forget the token."""
    assert list_value(start_after="m")["start_after"] == "m"
    assert "start_after" not in list_value(start_after="m", token="t")
    assert "start_after" not in list_value()


def packed_page(*entries: dict[str, Any], token: str = "") -> bytes:
    """Return a page as AIStore packs it: absent where zero."""
    page = {"UUID": "u", "ContinuationToken": token, "Entries": list(entries) or None, "Flags": 0}
    return msgspec.msgpack.encode(page)


def json_page(*entries: dict[str, Any], token: str = "") -> bytes:
    """Return a page as AIStore writes it in JSON: numbers as strings."""
    rows = list(entries) or None
    return json.dumps({"uuid": "u", "continuation_token": token, "entries": rows}).encode()


PACKED = {
    "n": "a/b",
    "s": 7,
    "cs": "26c7827d889f6da3",
    "v": "2",
    "m": "[k:v w etag:x]",
    "t": "t[x]",
    "f": 64,
}
WRITTEN = {
    "name": "a/b",
    "size": "7",
    "checksum": "26c7827d889f6da3",
    "version": "2",
    "custom-md": "[k:v w etag:x]",
    "location": "t[x]",
    "flags": 64,
}


@pytest.mark.parametrize(
    ("body", "content_type"), [(packed_page(PACKED), messages.MSGPACK), (json_page(WRITTEN), JSON)]
)
def test_a_page_says_the_same_in_both_forms(body: bytes, content_type: str) -> None:
    """One entry with all that is told of it."""
    props = "name,size,checksum,version,custom"
    page = messages.parse_page(body, content_type, "ais://b", props)
    custom = {"k": "v w", "etag": "x"}
    checksum = Checksum("xxhash2", "26c7827d889f6da3")
    info = ObjectInfo("ais://b", "a/b", 7, checksum, "2", custom=custom)
    assert page == ([info], "", "u")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(packed_page(token="t"), messages.MSGPACK), (json_page(token="t"), JSON)],
)
def test_an_empty_page_may_have_a_token(body: bytes, content_type: str) -> None:
    """Entries are null then, and the listing goes on."""
    assert messages.parse_page(body, content_type, "ais://b", "name") == ([], "t", "u")


@pytest.mark.parametrize("props", ["name", "name,size", "name,size,version"])
def test_a_size_that_was_not_asked_for_is_unknown(props: str) -> None:
    """Zero is left out on the wire: only who asked knows what that means."""
    size = 0 if "size" in props else None
    packed = messages.parse_page(packed_page({"n": "a"}), messages.MSGPACK, "ais://b", props)
    written = messages.parse_page(json_page({"name": "a"}), JSON, "ais://b", props)
    assert packed.entries == written.entries == [ObjectInfo("ais://b", "a", size)]


def test_copies_and_misplaced_objects_are_left_out() -> None:
    """The low five bits are a status; the others, as "cached" or "folder", are not."""
    flags = {"ok": 64, "folder/": 256, "misplaced": 1, "copy": 64 | 3}
    body = packed_page(*({"n": name, "f": flag} for name, flag in flags.items()))
    page = messages.parse_page(body, messages.MSGPACK, "ais://b", "name,size")
    assert [info.name for info in page.entries] == ["ok", "folder/"]


@pytest.mark.parametrize("digits", [8, 16, 32, 64, 128])
def test_the_digits_of_a_listed_checksum_tell_its_kind(digits: int) -> None:
    """A listing gives no type."""
    kinds = {8: "crc32c", 16: "xxhash2", 32: "md5", 64: "sha256", 128: "sha512"}
    body = packed_page({"n": "a", "cs": "0" * digits})
    page = messages.parse_page(body, messages.MSGPACK, "ais://b", "name,checksum")
    assert page.entries[0].checksum == Checksum(kinds[digits], "0" * digits)


def test_a_listed_time_is_seconds_since_1970() -> None:
    """RFC 822, without seconds."""
    body = json_page({"name": "a", "atime": "20 Nov 26 22:38 UTC"}, {"name": "b", "atime": "soon"})
    page = messages.parse_page(body, JSON, "ais://b", "name,atime")
    assert [info.mtime_s for info in page.entries] == [1795214280.0, 0.0]


@pytest.mark.parametrize("content_type", [JSON, messages.MSGPACK, "text/html", ""])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff\xff"])
def test_what_is_no_page_is_an_integrity_error(body: bytes, content_type: str) -> None:
    """A proxy's error page is not an empty bucket."""
    with pytest.raises(IntegrityError, match="listing ais://b: the reply is not a page"):
        messages.parse_page(body, content_type, "ais://b", "name")


def test_object_headers_say_all_of_the_object() -> None:
    """As a live cluster sent them."""
    headers = {
        "Ais-Atime": "1795214298820090003",
        "Ais-Checksum-Type": "xxhash2",
        "Ais-Checksum-Value": "26c7827d889f6da3",
        "Ais-Custom-Md": "k=v, w, x=y=z",
        "Ais-Version": "1",
        "ETag": '"abc"',
        "Content-Length": "5",
    }
    assert messages.parse_object_headers(headers, OBJECT) == ObjectInfo(
        "ais://b",
        "o",
        5,
        Checksum("xxhash2", "26c7827d889f6da3"),
        "1",
        "abc",
        1795214298.82009,
        {"k": "v, w", "x": "y=z"},
    )


def test_the_size_of_a_range_is_the_whole_objects() -> None:
    """Content-Length is the range's; Content-Range tells the object's."""
    headers = {"Content-Range": "bytes 5-9/100", "Content-Length": "5"}
    assert messages.parse_object_headers(headers, OBJECT).size_bytes == 100


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Length": "many", "Ais-Atime": "soon"},
        {"Content-Range": "bytes 0-4/*", "Content-Length": "5"},
        {"Ais-Checksum-Type": "none", "Ais-Checksum-Value": ""},
        {"Content-Length": "\u00b2", "Ais-Atime": "\u00b2"},
    ],
    ids=str,
)
def test_headers_that_say_nothing_are_unknown(headers: dict[str, str]) -> None:
    """Nothing is made up, and nothing breaks."""
    assert messages.parse_object_headers(headers, OBJECT) == ObjectInfo("ais://b", "o")


@pytest.mark.parametrize(
    ("text", "custom"),
    [
        ("", {}),
        ("k=v", {"k": "v"}),
        ("a=1, b=2", {"a": "1", "b": "2"}),
        ("a=1,b=", {"a": "1", "b": ""}),
        ("[]", {}),
        ("[source:aws ETag:x]", {"source": "aws", "ETag": "x"}),
        (
            "[Last-Modified:Mon, 02 Jan 2006 15:04:05 GMT k:v]",
            {"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "k": "v"},
        ),
    ],
)
def test_custom_metadata_has_two_forms(text: str, custom: dict[str, str]) -> None:
    """Headers join pairs with commas, listings with blanks; values may hold either."""
    assert messages.parse_custom(text) == custom


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
def test_a_content_range_gives_its_ends(text: str | None, span: tuple[int, int] | None) -> None:
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
    """Not an empty cluster."""
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
    """Texts change between releases and lie; statuses do not."""
    text = json.dumps({"message": "does not exist, throttled, timeout", "status": 404})
    error = messages.error_for(status, text, operation="GET", url="ais://b/o", retry_after_s=3)
    assert type(error) is kind
    assert (error.status, error.url, error.retry_after_s) == (status, "ais://b/o", 3)
    assert str(error).startswith(f"GET ais://b/o: {status} does not exist, throttled")


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
    """JSON's message where there is one, else what came."""
    assert str(messages.error_for(500, text, operation="GET", url="ais://b")) == shown


def test_an_error_says_what_to_do_next() -> None:
    """Where aisio knows."""
    error = messages.error_for(401, "", operation="GET", url="ais://b")
    assert "AIS_AUTHN_TOKEN" in str(error)
