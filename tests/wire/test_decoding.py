"""Decoding: whatever a broken or hostile server sends is one error of aisio's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aisio.errors import IntegrityError, NotFoundError
from aisio.urls import ObjectUrl
from aisio.wire import messages
from aisio.wire.batch import BatchEntry, parse_batch_metadata
from aisio.wire.decoding import decoding
from aisio.wire.listing import parse_page
from aisio.wire.placement import parse_cluster_map

ENTRIES = [BatchEntry(ObjectUrl.parse("ais://b/o"))]

PARSERS: dict[str, Callable[[bytes], object]] = {
    "buckets": lambda body: list(messages.parse_buckets(body)),
    "bucket props": lambda body: messages.parse_checksum_props(
        {"Ais-Bucket-Props": body.decode("latin-1")}
    ),
    "token": messages.parse_token,
    "running jobs": lambda body: messages.parse_running_jobs(body, "x"),
    "cluster map": parse_cluster_map,
    "batch": lambda body: parse_batch_metadata(body, ENTRIES),
    "JSON page": lambda body: parse_page(body, "application/json", "ais://b", "name"),
    "msgpack page": lambda body: parse_page(body, messages.MSGPACK, "ais://b", "name"),
}

BODIES = {
    "nested JSON": b"[" * 100_000,
    "nested objects": b'{"x":' * 100_000,
    "nested msgpack": b"\x81\xa1z" + b"\x91" * 100_000 + b"\xc0",
    "a long number": b'{"uuid": ' + b"9" * 5000 + b"}",
    "not UTF-8": b'{"uuid": "\xff"}',
    "4 billion entries": b"\x81\xa7Entries\xdd\xff\xff\xff\xff",
    "another type": b"5",
    "a text": b'"text"',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
def test_a_reply_that_cannot_be_read_is_an_integrity_error(
    parse: Callable[[bytes], object], body: bytes
) -> None:
    """No decoder's own error is raised, and the message stays short."""
    with pytest.raises(IntegrityError) as caught:
        parse(body)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["[" * 100_000, "\0", "{}", "[]", "5"])
def test_the_text_of_a_refusal_may_be_anything(text: str) -> None:
    """The status determines the error."""
    error = messages.error_for(404, text, operation="GET", url="ais://b/o")
    assert type(error) is NotFoundError
    assert len(str(error)) < 500


def test_aisios_own_errors_stay_as_they_are() -> None:
    """They are more precise than the error of the block."""
    with pytest.raises(NotFoundError), decoding("the reply is odd"):
        raise NotFoundError("gone")
