"""Messages in XML, as S3 and OSS send them: one root with children that are texts or groups."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

from aisio.errors import IntegrityError

__all__ = ["child_texts", "iso_seconds", "parse_xml", "tag_of"]


def parse_xml(body: bytes, root: str, about: str) -> ElementTree.Element:
    """Parse a message.

    Args:
        body: The response's body.
        root: What its root must be named; a namespace does not count.
        about: What the request was for, for errors.

    Raises:
        IntegrityError: It is no XML, declares a document type or entities, or has another root.
    """
    if b"<!" in body:  # entities could expand without end
        raise IntegrityError(f"{about}: the answer is no {root}; is the endpoint right?")
    try:
        tree = ElementTree.fromstring(body)  # noqa: S314 - see above
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: its encoding
        raise IntegrityError(f"{about}: the answer is no XML: {error}") from error
    if tag_of(tree) != root:
        raise IntegrityError(f"{about}: the answer is a {tag_of(tree)}, not a {root}")
    return tree


def tag_of(element: ElementTree.Element) -> str:
    """Return the name of an element, without its namespace."""
    return element.tag.rpartition("}")[2]


def child_texts(element: ElementTree.Element) -> dict[str, str]:
    """Return the texts of an element's children by their names; of repeated names the last."""
    return {tag_of(child): child.text or "" for child in element}


def iso_seconds(text: str) -> float:
    """Return the seconds since 1970 of a time such as 2026-11-30T04:00:51.08Z; 0.0 if it is odd."""
    try:
        return datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()
    except ValueError:
        return 0.0
