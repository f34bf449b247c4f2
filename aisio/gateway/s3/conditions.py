"""Conditional requests: whether an object is as the client's headers require. Pure.

Source: RFC 9110, section 13.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from aisio.gateway.protocol.refusals import Refusal


def check_read(headers: Mapping[str, str], etag: str, modified_s: int, *, prefix: str = "") -> bool:
    """Tell whether an object must be sent; False if the client has it.

    Args:
        headers: The request's headers.
        etag: The object's ETag, without quotation marks.
        modified_s: When it was modified, in seconds.
        prefix: What stands before the names of the headers, as in x-amz-copy-source-if-match.

    Raises:
        Refusal: A condition that must hold does not.
    """
    match = headers.get(f"{prefix}if-match")
    if match is not None and not _matches(match, etag):
        raise failed("If-Match")
    since = _seconds(headers.get(f"{prefix}if-unmodified-since"))
    if match is None and since is not None and modified_s > since:
        raise failed("If-Unmodified-Since")
    if (none_match := headers.get(f"{prefix}if-none-match")) is not None:
        return not _matches(none_match, etag)
    since = _seconds(headers.get(f"{prefix}if-modified-since"))
    return since is None or modified_s > since


def check_write(headers: Mapping[str, str], etag: str | None) -> None:
    """Check the conditions of a write.

    Args:
        headers: The request's headers.
        etag: The ETag of the object that it would replace, without quotation marks; None for none.

    Raises:
        Refusal: A condition does not hold.
    """
    if (match := headers.get("if-match")) is not None:
        if etag is None:
            raise Refusal(404, "If-Match: there is no such object", tcode="NoSuchKey")
        if not _matches(match, etag):
            raise failed("If-Match")
    none_match = headers.get("if-none-match")
    if none_match is not None and etag is not None and _matches(none_match, etag):
        raise failed("If-None-Match")


def is_conditional_write(headers: Mapping[str, str]) -> bool:
    """Tell whether a write has conditions."""
    return "if-match" in headers or "if-none-match" in headers


def failed(header: str) -> Refusal:
    """Return the refusal where a condition does not hold."""
    message = f"at least one of the conditions that the request requires does not hold: {header}"
    return Refusal(412, message, tcode="PreconditionFailed")


def _matches(header: str, etag: str) -> bool:
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))
    return any(tag in ("*", etag) for tag in tags)


def _seconds(date: str | None) -> float | None:
    """Return the time that a header says; None without a valid one, which RFC 9110 ignores."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
