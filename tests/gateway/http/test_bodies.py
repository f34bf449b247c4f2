from __future__ import annotations

import json
from pathlib import Path

import msgspec

from aisio.gateway.http.bodies import (
    bucket_entry,
    bucket_props,
    error_body,
    json_body,
    json_list,
    packed_list,
)
from aisio.gateway.http.cluster import Cluster
from aisio.gateway.http.listing import ListMessage, Page
from aisio.gateway.protocol.bucket_props import BucketProps
from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.protocol.targets import BucketName
from aisio.wire.listing import PackedEntry, PackedPage

PAGE = Page([PackedEntry("a", s=5, f=1), PackedEntry("empty", f=1)], "empty")


def test_errors_are_ascii_on_one_line() -> None:
    """In responses to HEAD they are a header."""
    refusal = Refusal(404, 'ais://b/ü\n"x" does not exist', tcode="ErrNotFound")
    body = error_body(refusal, Cluster("/d"), method="HEAD", path="/v1/objects/b/o", remote="r:1")
    assert body.isascii()
    assert b"\n" not in body
    assert b'"status":404' in body


def test_a_long_error_fits_a_header() -> None:
    """Clients accept lines of 64 KiB."""
    refusal = Refusal(400, "\x01" * 30_000)
    body = error_body(refusal, Cluster("/d"), method="HEAD", path="/" + "a" * 32_000, remote="r:1")
    assert len(body) < 60_000


def test_bucket_properties_fit_a_header(tmp_path: Path) -> None:
    """One line of ASCII."""
    props = bucket_props(BucketProps(), tmp_path.stat())
    assert props.isascii()
    assert "\n" not in props


def test_a_page_is_the_same_as_json_and_as_msgpack() -> None:
    """JSON has sizes as strings and leaves out what is zero, as Go does."""
    message = ListMessage(uuid="")
    assert json.loads(json_list(PAGE, message, "new")) == {
        "uuid": "new",
        "continuation_token": "empty",
        "entries": [{"name": "a", "size": "5", "flags": 1}, {"name": "empty", "flags": 1}],
        "flags": 0,
    }
    page = msgspec.msgpack.decode(packed_list(PAGE, message, "new"), type=PackedPage)
    assert page == PackedPage("new", "empty", PAGE.entries)


def test_the_id_of_a_listing_stays_that_of_its_first_page() -> None:
    """A client sends it back with the next request."""
    message = ListMessage(uuid="old")
    assert json.loads(json_list(PAGE, message, "new"))["uuid"] == "old"


def test_json_ends_with_a_newline() -> None:
    """As from an encoder in Go."""
    assert json_body([bucket_entry(BucketName("b", "n"))]) == (
        b'[{"name":"b","provider":"ais","namespace":{"uuid":"","name":"n"}}]\n'
    )
