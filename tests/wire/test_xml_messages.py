"""Messages in XML: what is parsed, and what is refused."""

from __future__ import annotations

import pytest

from aisio.errors import IntegrityError
from aisio.wire.xml_messages import child_texts, iso_seconds, parse_xml, tag_of


@pytest.mark.parametrize("marks", [b"", b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_a_message_with_and_without_a_namespace(marks: bytes) -> None:
    """Names are without it; an empty child is an empty text."""
    tree = parse_xml(b"<Page%s><Key>a &amp; b</Key><Token/></Page>" % marks, "Page", "list b")
    assert tag_of(tree) == "Page"
    assert child_texts(tree) == {"Key": "a & b", "Token": ""}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is no XML"),
        (b"<Page><Key></Page>", "is no XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><Page/>', "is no XML"),
        (b'<?xml version="1.0" encoding="none"?><Page/>', "is no XML"),
        (b"<html></html>", "is a html, not a Page"),
        (b'<!DOCTYPE a [<!ENTITY e "x">]><Page>&e;</Page>', "is no Page"),
    ],
)
def test_what_is_no_such_message_is_refused(body: bytes, reason: str) -> None:
    """With what the request was for."""
    with pytest.raises(IntegrityError, match=f"list b: the answer {reason}"):
        parse_xml(body, "Page", "list b")


def test_times_in_utc() -> None:
    """Fractions of a second are dropped; a text that is no time is 0.0."""
    assert iso_seconds("2026-11-30T04:00:51.084863033Z") == 1796011251.0
    assert iso_seconds("2026-11-30T04:00:51Z") == 1796011251.0
    assert iso_seconds("soon") == iso_seconds("") == 0.0
