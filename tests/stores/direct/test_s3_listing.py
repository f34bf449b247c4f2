"""Listings of S3 that end too early, and responses that are no listings."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from aisio.errors import IntegrityError
from aisio.records import RetryPolicy
from aisio.stores import DirectSettings, DirectStore
from aisio.urls import ObjectUrl
from tests.http_server import Reply, Server

pytest.importorskip("obstore")

BUCKET = ObjectUrl.parse("s3://bkt/")
KEYS = {"access_key_id": "k", "secret_access_key": "the-secret"}
ERROR = Reply(200, b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>")
FOUND = Reply(200, b"1", {"ETag": '"e"', "Last-Modified": "Fri, 20 Nov 2026 22:00:00 GMT"})


def page(*names: str, more: str = "<IsTruncated>false</IsTruncated>") -> Reply:
    """Return a page of a listing."""
    rows = "".join(
        f"<Contents><Key>{name}</Key><Size>1</Size>"
        f"<LastModified>2026-11-20T22:00:00.000Z</LastModified></Contents>"
        for name in names
    )
    return Reply(200, f"<ListBucketResult>{more}{rows}</ListBucketResult>".encode())


CUT = "<IsTruncated>true</IsTruncated><NextMarker>b</NextMarker>"


def listed(replies: Sequence[Reply], **options: object) -> tuple[list[str], list[str]]:
    """Return the names that a listing yields, and the targets of the requests."""
    with Server(*replies) as server:
        settings = DirectSettings(
            server.url, "us-east-1", KEYS | options, retry=RetryPolicy(attempts=1)
        )
        names = [info.name for info in DirectStore(settings).list(BUCKET)]
        return names, [request.target for request in server.requests]


def test_a_listing_continues_where_it_was_cut() -> None:
    """By its last name, as there is no token."""
    names, asked = listed([page("a", "b", more=CUT), page("b", "c", more=CUT), page("c")])
    assert names == ["a", "b", "c"]
    assert [target.partition("start-after=")[2] for target in asked] == ["", "a", "b"]


def test_a_whole_listing_takes_one_request_more() -> None:
    """That has the last name, and nothing after it."""
    names, asked = listed([page("a", "b"), page("b")])
    assert (names, len(asked)) == (["a", "b"], 2)


@pytest.mark.parametrize("answer", [ERROR, page(), Reply(200, b"<html></html>")])
def test_an_answer_without_the_last_name_is_an_error(answer: Reply) -> None:
    """If the object exists, the response is no listing from before its name on."""
    with pytest.raises(IntegrityError, match="after 'a', it does not send 'b'"):
        listed([page("a", "b", more=CUT), answer, FOUND])


def test_a_last_object_may_be_deleted_meanwhile() -> None:
    """Then the listing is right not to have its name."""
    names, _ = listed([page("a", "b"), page(), Reply(404)])
    assert names == ["a", "b"]


def test_a_store_that_starts_again_is_an_error() -> None:
    """One that only knows version 1 ignores start-after: the listing would never end."""
    with pytest.raises(IntegrityError, match="after 'a', it sends 'a'"):
        listed([page("a", "b", more=CUT), page("a", "b", more=CUT)])


def test_an_error_with_status_200_is_retried() -> None:
    """Obstore takes it for an empty bucket."""
    assert listed([ERROR, page("a"), page("a")])[0] == ["a"]


@pytest.mark.parametrize(
    ("answer", "root"),
    [
        (ERROR, "Error"),
        (Reply(200, b"<!DOCTYPE html>\n<!-- hi --><HTML><body/></HTML>"), "HTML"),
        (Reply(200, b"<s3:ListAllMyBucketsResult xmlns:s3='x'/>"), "ListAllMyBucketsResult"),
    ],
)
def test_what_is_no_listing_is_an_error(answer: Reply, root: str) -> None:
    """A console, a captive portal, or the wrong path is no empty bucket."""
    with pytest.raises(IntegrityError, match=f"sends <{root}> where S3 sends a listing"):
        listed([answer] * 3)


@pytest.mark.parametrize("last", [page(), Reply(403, b"<Error/>"), Reply(404)])
def test_an_empty_bucket_is_empty(last: Reply) -> None:
    """S3 refuses a request without credentials, or shows the same."""
    names, asked = listed([page(), page(), last])
    assert names == []
    assert asked[2] == "/bkt/?list-type=2&max-keys=1"


def test_a_public_bucket_is_checked_too() -> None:
    """As any other bucket."""
    with pytest.raises(IntegrityError, match="sends <Error>"):
        listed([ERROR] * 3, skip_signature=True)


def test_a_server_that_cannot_be_checked_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The listing has no names, which may be right."""
    with caplog.at_level(logging.WARNING):
        assert listed([page(), page(), Reply(0)])[0] == []
    assert (
        "list s3://bkt: the bucket looks empty, but aisio could not check whether 127.0.0.1"
        in caplog.text
    )
