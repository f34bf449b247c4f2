"""The XML of S3: any name survives, and hostile documents are refused."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio.gateway.protocol.refusals import Refusal
from aisio.gateway.s3.documents import document, element, group, parse, texts

_printable = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff")
)


@given(_printable)
def test_names_survive(name: str) -> None:
    """A parser reads what was written."""
    body = document("Root", group("Outer", element("Key", name)), namespace="")
    assert ElementTree.fromstring(body).findtext("Outer/Key") == name


def test_line_breaks_survive() -> None:
    """A parser would make spaces and line feeds of them if they were written as they are."""
    body = document("Root", element("Key", "a\r\n\tb"), namespace="")
    assert ElementTree.fromstring(body).findtext("Key") == "a\r\n\tb"


def test_control_characters_are_references() -> None:
    """As S3 writes them: lenient parsers read them, strict ones fail instead of guessing."""
    assert element("Key", "\x01") == "<Key>&#x1;</Key>"
    assert element("Key", "\ud800") == "<Key>&#xFFFD;</Key>"


def test_quotation_marks_are_named() -> None:
    """As S3 writes the ETags of lists; DuckDB knows no numeric references."""
    assert element("ETag", '"a"') == "<ETag>&quot;a&quot;</ETag>"
    assert element("Key", "<&>'") == "<Key>&lt;&amp;&gt;'</Key>"


def test_namespaces_are_dropped() -> None:
    """Some clients send them, others do not."""
    body = b'<Delete xmlns="http://x/"><Object><Key>a</Key></Object><Object/></Delete>'
    assert texts(parse(body, "Delete").findall("Object"), "Key") == ["a", ""]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"<Delete>",
        b"<Other/>",
        b'<?xml version="1.0" encoding="nope"?><Delete/>',
        b'<!DOCTYPE d [<!ENTITY a "aa">]><Delete>&a;</Delete>',
        b"\xff\xfe\x00",
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE d [<!ENTITY a "x">]>'
        "<Delete>&a;</Delete>".encode("utf-16"),
        b"<Delete>" + b"<a/>" * 200_000 + b"</Delete>",
    ],
)
def test_what_cannot_be_used_is_malformed(body: bytes) -> None:
    """Entities too: a few lines of them expand to gigabytes."""
    with pytest.raises(Refusal) as caught:
        parse(body, "Delete")
    assert caught.value.tcode == "MalformedXML"
