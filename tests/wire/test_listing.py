"""Pages of a listing, as bytes and dicts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from aisio.errors import IntegrityError
from aisio.records import Checksum, ObjectInfo
from aisio.wire.listing import Page, list_message, parse_page
from aisio.wire.messages import MSGPACK

JSON = "application/json; charset=utf-8"


def list_value(**wanted: Any) -> dict[str, Any]:
    """Return the value of a list message."""
    message = list_message(**wanted)
    assert message["action"] == "list"
    value: dict[str, Any] = message["value"]
    return value


def test_flags_are_a_number_in_a_string() -> None:
    """AIStore's uint64; those of name and name,size spare the server work, 2 is MISSING."""
    assert list_value(props="name")["flags"] == str(2 | 16)
    assert list_value(props="name,size")["flags"] == str(2 | 32)
    assert list_value(props="size,name")["flags"] == str(2 | 32)
    assert list_value(props="name,size,checksum")["flags"] == "2"
    assert list_value(props="name", recursive=False)["flags"] == str(2 | 16 | 2048)


def test_start_after_is_for_the_first_page() -> None:
    """With a token the server would refuse it or forget the token."""
    assert list_value(start_after="m")["start_after"] == "m"
    assert "start_after" not in list_value(start_after="m", token="t")
    assert "start_after" not in list_value()


def packed_page(*entries: dict[str, Any], token: str = "") -> bytes:
    """Return a page in msgpack as AIStore writes it, without zeros."""
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
    ("body", "content_type"), [(packed_page(PACKED), MSGPACK), (json_page(WRITTEN), JSON)]
)
def test_a_page_says_the_same_in_both_forms(body: bytes, content_type: str) -> None:
    """One entry with all of its properties."""
    props = "name,size,checksum,version,custom,location"
    page = parse_page(body, content_type, "ais://b", props)
    custom = {"k": "v w", "etag": "x"}
    checksum = Checksum("xxhash2", "26c7827d889f6da3")
    info = ObjectInfo("ais://b", "a/b", 7, checksum, "2", custom=custom, location="t[x]")
    assert page == Page([info], "", "u")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(packed_page(token="t"), MSGPACK), (json_page(token="t"), JSON)],
)
def test_an_empty_page_may_have_a_token(body: bytes, content_type: str) -> None:
    """Its entries are null, and the listing goes on."""
    assert parse_page(body, content_type, "ais://b", "name") == Page([], "t", "u")


@pytest.mark.parametrize("props", ["name", "name,size", "name,size,version"])
def test_a_size_that_was_not_requested_is_unknown(props: str) -> None:
    """A zero is omitted, which only the props of the request distinguish from an unknown size."""
    size = 0 if "size" in props else None
    packed = parse_page(packed_page({"n": "a"}), MSGPACK, "ais://b", props)
    written = parse_page(json_page({"name": "a"}), JSON, "ais://b", props)
    assert packed.entries == written.entries == [ObjectInfo("ais://b", "a", size)]


def names_of(*flags: tuple[str, int]) -> tuple[list[str], set[str]]:
    """Return the names of a page with such entries, and those that are misplaced."""
    packed = packed_page(*({"n": name, "f": flag} for name, flag in flags))
    page = parse_page(packed, MSGPACK, "ais://b", "name,size")
    written = json_page(*({"name": name, "flags": flag} for name, flag in flags))
    assert parse_page(written, JSON, "ais://b", "name,size")._replace(entries=[]) == (
        page._replace(entries=[], token="")
    )
    return [info.name for info in page.entries], set(page.misplaced)


def test_flags_of_an_entry_are_no_status() -> None:
    """The low five bits are; the others say "cached", "folder" and so on."""
    assert names_of(("a", 64), ("folder/", 256)) == (["a", "folder/"], set())


def test_each_object_is_listed_once() -> None:
    """Copies, and what a rebalance left on another target, are listed as well."""
    rows = ("a", 64), ("a", 64 | 1), ("b", 64), ("b", 64 | 3), ("b", 64 | 3), ("c", 64)
    assert names_of(*rows) == (["a", "b", "c"], set())
    # Two nodes say that it is theirs: one looked before the other joined, one after.
    assert names_of(("a", 64), ("a", 64), ("b", 64)) == (["a", "b"], set())


def test_a_copy_is_the_object() -> None:
    """At the end of a page the entry in its place may be missing."""
    assert names_of(("a", 64 | 3)) == (["a"], set())
    assert names_of(("a", 64 | 1), ("a", 64 | 3)) == (["a"], set())


@pytest.mark.parametrize("status", [1, 2, 4])
def test_an_object_without_an_entry_in_its_place_is_misplaced(status: int) -> None:
    """It is on another target or disk, or a copy whose object is missing."""
    assert names_of(("a", 64), ("b", 64 | status), ("c", 64)) == (["a", "b", "c"], {"b"})


@pytest.mark.parametrize("digits", [8, 16, 32, 64, 128])
def test_the_digits_of_a_listed_checksum_tell_its_kind(digits: int) -> None:
    """A listing has no type of checksum."""
    kinds = {8: "crc32c", 16: "xxhash2", 32: "md5", 64: "sha256", 128: "sha512"}
    body = packed_page({"n": "a", "cs": "0" * digits})
    page = parse_page(body, MSGPACK, "ais://b", "name,checksum")
    assert page.entries[0].checksum == Checksum(kinds[digits], "0" * digits)


def test_a_listed_time_is_seconds_since_1970() -> None:
    """RFC 822, without seconds."""
    body = json_page({"name": "a", "atime": "20 Nov 26 22:38 UTC"}, {"name": "b", "atime": "soon"})
    page = parse_page(body, JSON, "ais://b", "name,atime")
    assert [info.mtime_s for info in page.entries] == [1795214280.0, 0.0]


@pytest.mark.parametrize("name", ["uuid", "continuation_token", "entries"])
def test_half_a_page_is_an_integrity_error(name: str) -> None:
    """The JSON of another server would look like a last page without objects."""
    page = {"uuid": "id", "continuation_token": "", "entries": None}
    assert parse_page(json.dumps(page).encode(), JSON, "ais://b", "name").entries == []
    del page[name]
    with pytest.raises(IntegrityError, match=f"not a page of a listing.*{name}"):
        parse_page(json.dumps(page).encode(), JSON, "ais://b", "name")


@pytest.mark.parametrize("content_type", [JSON, MSGPACK, "text/html", ""])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff\xff", b"{}", b"\x80"])
def test_what_is_no_page_is_an_integrity_error(body: bytes, content_type: str) -> None:
    """A proxy's error page is not an empty bucket."""
    with pytest.raises(IntegrityError, match="listing ais://b: the reply is not a page"):
        parse_page(body, content_type, "ais://b", "name")
