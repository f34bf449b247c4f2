"""The XML of S3: responses are written as text, requests are parsed. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

from aisio.gateway.protocol.refusals import Refusal

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01"
XML = "application/xml"

_SPECIAL = re.compile('[&<>"\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
"""As S3 writes them: DuckDB knows no other references."""

_OTHER_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"'](?!utf-8[\"'])", re.IGNORECASE)
"""Beside it there is UTF-16, whose bytes are no UTF-8: declarations would be missed in either."""

_MAX_TAGS = 200_000
"""An element costs some 300 bytes of memory; 10,000 parts with all their checksums have 180,000."""

_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def element(name: str, text: str | int) -> str:
    """Return an element that holds text.

    Control characters become character references, as S3 writes them: XML 1.0 has no way to write
    most of them, so that strict parsers refuse them. A client that lists such names asks for
    `encoding-type=url`.
    """
    return f"<{name}>{_SPECIAL.sub(_reference, str(text))}</{name}>"


def group(name: str, *children: str) -> str:
    """Return an element that holds others."""
    return f"<{name}>{''.join(children)}</{name}>"


def document(root: str, *children: str, namespace: str = NAMESPACE) -> bytes:
    """Return a document.

    Args:
        root: The name of its root.
        *children: The elements in the root.
        namespace: The XML namespace; "" for none.
    """
    attribute = f' xmlns="{namespace}"' if namespace else ""
    text = f"<{root}{attribute}>{''.join(children)}</{root}>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def parse(body: bytes, root: str) -> ElementTree.Element:
    """Parse a document from a client; namespaces are dropped.

    Args:
        body: The document.
        root: What its root must be named.

    Raises:
        Refusal: It is not XML in UTF-8, has another root or very many tags, or declares entities.
    """
    if _OTHER_ENCODING.match(body):
        raise malformed("its encoding is not UTF-8")
    if _DECLARATION.search(body):
        raise malformed("declarations of document types and entities are not accepted")
    if body.count(b"<") > _MAX_TAGS:
        raise malformed(f"more than {_MAX_TAGS:,} tags")
    try:
        tree = ElementTree.fromstring(body.decode())  # noqa: S314 - entities are refused above
    except (ElementTree.ParseError, ValueError) as error:
        raise malformed(f"{error}") from None
    for node in tree.iter():
        node.tag = node.tag.rpartition("}")[2]
    if tree.tag != root:
        raise malformed(f"expected <{root}>, got <{tree.tag}>")
    return tree


def texts(nodes: Iterable[ElementTree.Element], name: str) -> list[str]:
    """Return the text of the child of this name of each element; "" where there is none."""
    return [(node.findtext(name) or "") for node in nodes]


def malformed(why: str) -> Refusal:
    """Return the refusal of a document that cannot be used."""
    return Refusal(
        400, f"the XML is not well-formed or not as S3 has it: {why}", tcode="MalformedXML"
    )


def _reference(match: re.Match[str]) -> str:
    if match[0] in _NAMED:
        return _NAMED[match[0]]
    code = ord(match[0])
    return f"&#x{0xFFFD if 0xD800 <= code <= 0xDFFF else code:X};"
